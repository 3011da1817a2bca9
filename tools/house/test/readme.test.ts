// The examples of the READMEs run, and print what they say they print.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { packages, readText, ROOT } from "../src/workspace.ts";

const EXAMPLES = packages().map(
  ({ name, folder }) =>
    [name, /```ts\n([\s\S]*?)```/.exec(readText(join(folder, "README.md")))?.[1]] as const,
);

test.each(EXAMPLES)("the example in the README of %s runs", async (name, example) => {
  if (example === undefined) throw new Error(`the README of ${name} has no example in TypeScript`);
  const lines: string[] = [];
  const log = vi
    .spyOn(console, "log")
    .mockImplementation((...words) => void lines.push(words.map(String).join(" ")));
  const folder = mkdtempSync(join(ROOT, "tools/house/example-"));
  try {
    const file = join(folder, "example.ts");
    writeFileSync(file, example);
    await import(/* @vite-ignore */ file);
  } finally {
    log.mockRestore();
    rmSync(folder, { recursive: true });
  }
  for (const [, answer = ""] of example.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)) {
    expect(
      lines.some((line) => says(line, answer)),
      `${answer} among ${lines.join(" | ")}`,
    ).toBe(true);
  }
  expect(lines.length).toBeGreaterThan(0);
});

/** Whether a printed line is what a comment promises, where … stands for anything and quotes don't count. */
function says(line: string, promise: string): boolean {
  const plain = (text: string): string => text.replaceAll(/[\s'"[\],{}]+/g, " ").trim();
  const pattern = plain(promise)
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|\\]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${pattern}$`, "s").test(plain(line));
}
