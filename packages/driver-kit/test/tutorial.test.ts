// The README builds a driver step by step: the steps are the example.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const PACKAGE = new URL("../", import.meta.url);
const README = readFileSync(new URL("README.md", PACKAGE), "utf8");
const DRIVER = readFileSync(new URL("examples/tiny-gpu.ts", PACKAGE), "utf8");

/** Without empty lines, which stand between steps or don't. */
function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

test("the steps of the README, one after the other, are the driver", () => {
  const [, tutorial = ""] = README.split(/^## (?=Write a driver in an hour$)/m);
  const [steps = ""] = tutorial.split(/^## /m);
  const blocks = [...steps.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  expect(blocks.length).toBeGreaterThan(5);
  expect(linesOf(blocks.join("\n"))).toEqual(linesOf(DRIVER));
});

test("the driver has less than 125 lines", () => {
  expect(DRIVER.trimEnd().split("\n").length).toBeLessThan(125);
});

test("the driver imports packages of hetmem only, and not the reference device", () => {
  const imports = [...DRIVER.matchAll(/^import .* from "(.*)";$/gm)].map(([, from]) => from);
  expect(imports.length).toBe(DRIVER.split(/^import /m).length - 1);
  for (const from of imports) expect(from).toMatch(/^@hetmem\/(?!gpu)[a-z-]+(\/[a-z-]+)?$/);
});
