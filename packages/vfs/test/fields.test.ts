import { expect, test } from "vitest";
import { fieldsOf } from "../src/fields.ts";

test("a file of names and numbers is read alike for a machine and for a node", () => {
  expect(
    fieldsOf("MemTotal:        2015232 kB\nActive(anon):       12 kB\nHugePages_Total:       0\n"),
  ).toEqual(
    new Map([
      ["MemTotal", 2_015_232],
      ["Active(anon)", 12],
      ["HugePages_Total", 0],
    ]),
  );
  expect(fieldsOf("Node 1 MemFree:         942136 kB\n")).toEqual(new Map([["MemFree", 942_136]]));
});

test("lines of another form are passed over", () => {
  expect(fieldsOf("not a field\nMemFree kB\n\n")).toEqual(new Map());
});
