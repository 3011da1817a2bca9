// Each release of Node imports every entry of every package and runs the example of each README, where nothing but the packages is
// installed. Node 20 is past its end of life; the packages still run on it.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transformWithOxc } from "vite";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { PUBLISHED } from "../src/published.ts";

const PROJECT = inject("stranger");
const ENTRIES = PUBLISHED.flatMap(({ entries }) => entries);
/** Entries with nothing but types. */
const TYPES_ONLY = ["@hetmem/mm/ports"];

interface Smoke {
  readonly node: string;
  readonly imported: Readonly<Record<string, number | string>>;
  readonly printed: Readonly<Record<string, number | string>>;
}

function exampleOf(folder: string): string {
  return `${folder.replace("/", "-")}.mjs`;
}

beforeAll(async () => {
  copyFileSync(fileURLToPath(new URL("../src/smoke.mjs", import.meta.url)), join(PROJECT, "smoke.mjs"));
  mkdirSync(join(PROJECT, "examples"));
  const examples = PUBLISHED.map(({ folder }) => exampleOf(folder));
  writeFileSync(join(PROJECT, "smoke.json"), JSON.stringify({ entries: ENTRIES, examples }));
  for (const { folder, example } of PUBLISHED) {
    const { code } = await transformWithOxc(example, "example.ts");
    writeFileSync(join(PROJECT, "examples", exampleOf(folder)), code);
  }
});

describe.each(inject("nodes"))("Node $version", ({ version, program }) => {
  let smoke: Smoke;

  beforeAll(() => {
    const output = execFileSync(program, ["smoke.mjs"], { cwd: PROJECT, encoding: "utf8", stdio: "pipe" });
    smoke = JSON.parse(output) as Smoke;
  });

  test("is the release that was asked for", () => {
    expect(smoke.node).toBe(version);
  });

  test.each(ENTRIES)("imports %s", (entry) => {
    expect(smoke.imported[entry]).toBeTypeOf("number");
    if (!TYPES_ONLY.includes(entry)) expect(smoke.imported[entry]).toBeGreaterThan(0);
  });

  test.each(PUBLISHED)("runs the example of $name", ({ folder }) => {
    expect(smoke.printed[exampleOf(folder)]).toBeTypeOf("number");
    expect(smoke.printed[exampleOf(folder)]).toBeGreaterThan(0);
  });
});
