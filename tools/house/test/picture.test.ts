// The picture in the documentation is of the house as it is.
import { join } from "node:path";
import { expect, test } from "vitest";
import { directImports, housePicture, rooms } from "../src/picture.ts";
import { ROOT } from "../src/workspace.ts";

test("docs/house.svg shows each package on its floor, and what it stands on", async () => {
  await expect(housePicture()).toMatchFileSnapshot(join(ROOT, "docs/house.svg"));
});

test("an arrow that follows from two others isn't drawn", () => {
  const all = rooms();
  const gup = all.find(({ name }) => name === "@hetmem/gup");
  if (!gup) throw new Error("there is no @hetmem/gup");
  expect(gup.imports).toContain("@hetmem/kernel");
  expect(directImports(gup, all)).toEqual(["@hetmem/migrate"]);
});
