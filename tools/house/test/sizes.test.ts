// Code stays as small as src/size-budgets.ts says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bundleOf, gzippedBytes } from "../src/bundle.ts";
import { APPLICATION_BUDGETS, PACKAGE_BUDGETS } from "../src/size-budgets.ts";
import { packages, ROOT } from "../src/workspace.ts";

const KiB = 1024;

/** The size of what is loaded first of an application for a browser. */
async function firstKiB(application: string): Promise<number> {
  const chunks = await bundleOf(application, { minify: true });
  return gzippedKiB(chunks.filter(({ first }) => first).map(({ code }) => code));
}

function gzippedKiB(codes: readonly string[]): number {
  return codes.reduce((sum, code) => sum + gzippedBytes(code), 0) / KiB;
}

test.each(packages())("the code of $name keeps to its budget", async ({ name, manifest }) => {
  const entries = Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) =>
    typeof target === "string" ? [] : [`${name}${subpath.slice(1)}`],
  );
  const uses = entries.map((entry, i) => `import * as entry${i} from "${entry}";\nkeep(entry${i});`);
  const chunks = await bundleOf(uses.join("\n"), {
    platform: "node",
    minify: true,
    external: (request) => /^[@a-z]/.test(request) && request !== name && !request.startsWith(`${name}/`),
  });
  const size = gzippedKiB(chunks.map(({ code }) => code));
  expect(size).toBeGreaterThan(0.5);
  expect(size).toBeLessThanOrEqual(PACKAGE_BUDGETS[name] ?? 0);
});

test("there is a budget for each package, and no other", () => {
  expect(Object.keys(PACKAGE_BUDGETS)).toEqual(packages().map(({ name }) => name));
});

test("createMachine() alone keeps to its budget", async () => {
  const size = await firstKiB('import { createMachine } from "hetmem"; keep(createMachine);');
  expect(size).toBeLessThanOrEqual(APPLICATION_BUDGETS.createMachine);
});

test("a machine with the shell and all programs keeps to its budget", async () => {
  const size = await firstKiB(
    'import { createMachine, PROGRAMS, Shell } from "hetmem"; keep(createMachine, PROGRAMS, Shell);',
  );
  expect(size).toBeLessThanOrEqual(APPLICATION_BUDGETS.withShellAndPrograms);
});

test("the first screen of a page keeps to its budget", async () => {
  const size = await firstKiB(`
    import { complete, isIncomplete } from "@hetmem/shell";
    import { createMachine, Shell } from "hetmem";
    import { drive, PROGRAMS_ON_DEMAND } from "hetmem/on-demand";
    keep(complete, isIncomplete, createMachine, Shell, drive, PROGRAMS_ON_DEMAND);
  `);
  expect(size).toBeLessThanOrEqual(APPLICATION_BUDGETS.firstScreen);
});

test.each([
  ["hetmem.cjs", APPLICATION_BUDGETS.executable],
  ["commands.cjs", APPLICATION_BUDGETS.commands],
])("%s of the command line keeps to its budget", (name, budget) => {
  const code = readFileSync(join(ROOT, "apps/machine/dist", name), "utf8");
  expect(gzippedKiB([code])).toBeLessThanOrEqual(budget);
});
