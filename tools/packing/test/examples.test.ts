// The examples as a newcomer has them: each a project of its own, installed from the packed packages outside of the
// repository. pnpm gives each what its package.json names and nothing else, so that a package it forgot to name is missing.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { pnpm, ROOT } from "../src/tarballs.ts";

const EXAMPLES = readdirSync(join(ROOT, "examples"), { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);
const PROJECTS = mkdtempSync(join(tmpdir(), "hetmem-examples-"));

/** The version of a tool that this repository has: the newest one may be newer. */
function pinned(name: string): string {
  const manifest = readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(manifest) as { readonly version: string }).version;
}

beforeAll(() => {
  cpSync(join(ROOT, "examples"), PROJECTS, {
    recursive: true,
    filter: (path) => !["node_modules", "dist"].includes(basename(path)),
  });
  const tools = Object.fromEntries(["typescript", "@types/node"].map((name) => [name, pinned(name)]));
  const overrides = { ...inject("tarballs"), ...tools };
  writeFileSync(join(PROJECTS, "package.json"), JSON.stringify({ private: true, pnpm: { overrides } }));
  writeFileSync(join(PROJECTS, "pnpm-workspace.yaml"), "packages: ['*']\n");
  pnpm(PROJECTS, "install", "--prefer-offline", "--silent");
});

afterAll(() => rmSync(PROJECTS, { recursive: true }));

/** The lines that a README shows behind a command, without spaces at their ends. */
function shownBy(example: string, command: string): string {
  const readme = readFileSync(join(ROOT, "examples", example, "README.md"), "utf8");
  const [, shown] = /^```console\n\$ (.*\n[^]*?)^```$/m.exec(readme) ?? [];
  if (!shown?.startsWith(`${command}\n`)) throw new Error(`the README of ${example} doesn't show ${command}`);
  return shown.slice(command.length + 1);
}

function linesOf(printed: string): string {
  return printed.replaceAll(/ +$/gm, "");
}

test.each(EXAMPLES)("npm start in %s prints what its README shows", (example) => {
  const cwd = join(PROJECTS, example);
  const { stdout, stderr } = spawnSync("npm", ["start", "--silent"], { cwd, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(linesOf(stdout)).toBe(shownBy(example, "npm install && npm start"));
});

test.each([
  ["node16", { module: "node16", moduleResolution: "node16" }],
  ["nodenext", { module: "nodenext", moduleResolution: "nodenext" }],
  ["bundler", { module: "preserve", moduleResolution: "bundler" }],
])("the types of all examples are right where modules are resolved as %s does", (mode, resolution) => {
  const projects = EXAMPLES.map((example) => {
    const file = join(PROJECTS, example, `tsconfig.${mode}.json`);
    const compilerOptions = { ...resolution, noEmit: true, tsBuildInfoFile: `${file}.info` };
    writeFileSync(file, JSON.stringify({ extends: "./tsconfig.json", compilerOptions }));
    return file;
  });
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { stdout, status } = spawnSync(tsc, ["-b", ...projects], { cwd: PROJECTS, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test.each(EXAMPLES)("a minified bundle of %s prints the same", async (example) => {
  const outfile = join(PROJECTS, example, "bundle.mjs");
  await build({
    entryPoints: [join(PROJECTS, example, "src/main.ts")],
    outfile,
    bundle: true,
    minify: true,
    // An error shows the line it was thrown in.
    lineLimit: 160,
    format: "esm",
    platform: "neutral",
    logLevel: "silent",
  });
  const { stdout, stderr } = spawnSync(process.execPath, [outfile], { cwd: PROJECTS, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(linesOf(stdout)).toBe(shownBy(example, "npm install && npm start"));
});
