// Each package records its version when it is loaded, so that two versions in one program are refused (onlyVersion() of the kernel).
import { join } from "node:path";
import { expect, test } from "vitest";
import { packages, readText, shapeOf, sources } from "../src/workspace.ts";

test.each(packages())("version.ts of $name records the version of package.json", ({ folder, manifest }) => {
  expect(readText(join(folder, "src/version.ts"))).toContain(
    `\nonlyVersion("${manifest.name}", "${manifest.version}");\n`,
  );
});

test.each(packages())("a bundle of $name keeps the record", ({ folder, manifest }) => {
  // Bundlers drop a file without exports unless the package lists it.
  expect(manifest.sideEffects).toEqual(["./dist/version.js", "./src/version.ts"]);
  const importers = sources(join(folder, "src")).filter((path) =>
    shapeOf(path, readText(path)).imports.some((request) => /^\.{1,2}\/version\.ts$/.test(request)),
  );
  expect(importers).toHaveLength(1);
  // A list of exports is dropped itself.
  expect(importers.filter((path) => path.endsWith("/index.ts"))).toEqual([]);
});
