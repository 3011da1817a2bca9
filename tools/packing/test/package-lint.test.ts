// Each tarball, as publint and attw read it: entries that exist in the form that package.json promises, and types that every way of
// resolving modules finds. The packages are ESM only, so that resolution for CommonJS and of TypeScript's node10 finds none.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { expect, inject, test } from "vitest";
import { PUBLISHED } from "../src/published.ts";

const NOT_FOR_ESM = ["node10", "node16-cjs"];

function tarballOf(name: string): Buffer {
  return readFileSync(fileURLToPath(inject("tarballs")[name] ?? ""));
}

test.each(PUBLISHED)("publint finds nothing in $name", async ({ name }) => {
  const tarball = new Uint8Array(tarballOf(name)).buffer;
  const { messages, pkg } = await publint({ pack: { tarball }, strict: true });
  expect(pkg.name).toBe(name);
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test.each(PUBLISHED)("attw finds the types of $name", async ({ name, entries }) => {
  const result = await checkPackage(createPackageFromTarballData(tarballOf(name)));
  if (!result.types) throw new Error(`${name} has no types`);
  const problems = result.problems.filter(
    (problem) => !("resolutionKind" in problem && NOT_FOR_ESM.includes(problem.resolutionKind)),
  );
  expect(problems).toEqual([]);
  expect(Object.keys(result.entrypoints).length).toBeGreaterThanOrEqual(entries.length);
});
