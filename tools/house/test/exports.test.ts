// Nobody who imported a name before the rooms were cut has to search for it, and an index fits a screen.
import { join } from "node:path";
import { expect, test } from "vitest";
import { exportsNow, movedExports, movedExportsPage, REPLACED } from "../src/exports.ts";
import { ROOT } from "../src/workspace.ts";

test("each name that was exported before is exported now, or has something in its place", () => {
  const lost = movedExports().filter(({ name, to }) => to === undefined && !(name in REPLACED));
  expect(lost).toEqual([]);
});

test("docs/moved-exports.md says where each name is", async () => {
  await expect(movedExportsPage()).toMatchFileSnapshot(join(ROOT, "docs/moved-exports.md"));
});

test("no name stands in two indexes of one package", () => {
  const twice = [...exportsNow()].flatMap(([specifier, names]) =>
    [...exportsNow()]
      .filter(([other]) => other.startsWith(`${specifier}/`))
      .flatMap(([other, others]) =>
        [...names].filter((name) => others.has(name)).map((name) => `${name}: ${specifier}, ${other}`),
      ),
  );
  expect(twice).toEqual([]);
});
