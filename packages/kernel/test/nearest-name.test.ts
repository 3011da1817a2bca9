import { expect, test } from "vitest";
import { nearestName } from "../src/nearest-name.ts";

test("the nearest name is one of which a third is wrong at most", () => {
  const names = ["boot", "sh", "export", "plan", "explain"];
  expect(["bot", "plna", "exprot", "xplain", "hs"].map((typed) => nearestName(typed, names))).toEqual([
    "boot",
    "plan",
    "export",
    "explain",
    "sh",
  ]);
  expect(nearestName("reconfigure", names)).toBeUndefined();
});
