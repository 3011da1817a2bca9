// Code that V8 kept is used where it is that of the script, of this Node and whole, and costs nothing but time where it isn't.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  codeFileOf,
  codeToKeep,
  compile,
  exportsOf,
  keptCode,
  requireWithCode,
} from "../src/executable/code-cache.ts";

const SCRIPT = `exports.answer = () => { let sum = 0; for (const n of [40, 2]) sum += n; return sum; };`;

let folder = "";
let file = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hetmem-code-"));
  file = join(folder, "script.cjs");
  writeFileSync(file, SCRIPT);
  const script = compile(file, readFileSync(file));
  // The code of functions that have run is kept compiled.
  answerOf(exportsOf(script, file));
  writeFileSync(codeFileOf(file), codeToKeep(script, readFileSync(file)));
});
afterEach(() => rmSync(folder, { recursive: true }));

function answerOf(exports: unknown): unknown {
  return (exports as { answer(): unknown }).answer();
}

test("code that was kept is taken by V8", () => {
  const code = keptCode(codeFileOf(file), readFileSync(file));
  expect(compile(file, readFileSync(file), code).cachedDataRejected).toBe(false);
  expect(answerOf(requireWithCode(file))).toBe(42);
});

test("a script runs without code", () => {
  rmSync(codeFileOf(file));
  expect(answerOf(requireWithCode(file))).toBe(42);
});

test("a script that was changed runs as it is, though V8 would take the code of what it was", () => {
  writeFileSync(file, SCRIPT.replace("40", "50"));
  expect(keptCode(codeFileOf(file), readFileSync(file))).toBeUndefined();
  expect(answerOf(requireWithCode(file))).toBe(52);
});

test("code that is damaged anywhere, or cut short, isn't given to V8, which would crash", () => {
  const kept = readFileSync(codeFileOf(file));
  for (let at = 0; at < kept.length; at += 64) {
    const damaged = Buffer.from(kept);
    damaged[at] = (damaged[at] ?? 0) ^ 0xff;
    writeFileSync(codeFileOf(file), damaged);
    expect(keptCode(codeFileOf(file), readFileSync(file)), `byte ${at}`).toBeUndefined();
  }
  for (const length of [0, 10, 20, kept.length - 1]) {
    writeFileSync(codeFileOf(file), kept.subarray(0, length));
    expect(keptCode(codeFileOf(file), readFileSync(file)), `${length} bytes`).toBeUndefined();
    expect(answerOf(requireWithCode(file))).toBe(42);
  }
});

test.each([
  ["version", "v20.0.0"],
  ["arch", "pdp11"],
  ["platform", "plan9"],
] as const)("code of another Node isn't used: another %s", (fact, value) => {
  const [here, source] = [codeFileOf(file), readFileSync(file)];
  const own = Object.getOwnPropertyDescriptor(process, fact) ?? {};
  Object.defineProperty(process, fact, { ...own, value });
  try {
    expect(keptCode(here, source)).toBeUndefined();
  } finally {
    Object.defineProperty(process, fact, own);
  }
  expect(keptCode(here, source)).toBeDefined();
});
