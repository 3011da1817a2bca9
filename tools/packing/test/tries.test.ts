// What newcomers wrote who had the tarballs and their READMEs only: each try is type-checked and run in the project of a stranger.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, inject, test } from "vitest";
import { PUBLISHED } from "../src/published.ts";
import { ROOT } from "../src/tarballs.ts";

const PROJECT = inject("stranger");
const TRIES = readdirSync(join(ROOT, "tools/packing/tries")).map((file) => file.replace(/\.ts$/, ""));

beforeAll(() => {
  cpSync(join(ROOT, "tools/packing/tries"), join(PROJECT, "tries"), { recursive: true });
  for (const { name } of PUBLISHED) {
    const readme = readFileSync(join(PROJECT, "node_modules", name, "README.md"), "utf8");
    const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    writeFileSync(join(PROJECT, "tries", `readme-${name.replace(/^@.*\//, "")}.ts`), example);
  }
  const compilerOptions = {
    strict: true,
    module: "nodenext",
    target: "es2023",
    lib: ["es2023"],
    types: ["node"],
    typeRoots: [join(ROOT, "node_modules/@types")],
    rootDir: "tries",
    outDir: "tries-built",
  };
  writeFileSync(
    join(PROJECT, "tsconfig.tries.json"),
    JSON.stringify({ compilerOptions, include: ["tries"] }),
  );
});

test("the tries and the examples of all READMEs are right in their types", () => {
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { stdout } = spawnSync(tsc, ["-p", "tsconfig.tries.json"], { cwd: PROJECT, encoding: "utf8" });
  expect(stdout).toBe("");
});

test.each(TRIES)("a newcomer's %s works", (name) => {
  const file = join(PROJECT, "tries-built", `${name}.js`);
  const { status, stderr } = spawnSync(process.execPath, [file], { cwd: PROJECT, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
