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
  const promised = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map((match) => match[1]);
  for (const answer of promised) {
    const plain = (text: string): string => text.replaceAll(/[\s'"[\],{}]+/g, " ").trim();
    expect(
      lines
        .map(plain)
        .some((line) => line.includes(plain(answer ?? "")) || plain(answer ?? "").includes(line)),
      `${answer} among ${lines.join(" | ")}`,
    ).toBe(true);
  }
  expect(lines.length).toBeGreaterThan(0);
});
