// The examples as a newcomer has them: each a project of its own, installed from the packed packages outside of the repository.
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { consoleOf, EXAMPLES, installExamples } from "../src/example-projects.ts";
import { ROOT } from "../src/tarballs.ts";

/** Examples that print something under Node. The others are for a browser: see browser/. */
const PROGRAMS = EXAMPLES.filter((name) => existsSync(join(ROOT, "examples", name, "src/main.ts")));
/** Releases of Node besides the one that runs the tests, under which `npm start` runs. */
const OTHER_NODES = inject("nodes").filter(({ program }) => program !== process.execPath);
let projects = "";

beforeAll(() => {
  projects = installExamples(EXAMPLES, inject("tarballs"));
});

afterAll(() => rmSync(projects, { recursive: true }));

/** The lines that the README of an example shows behind the command that it begins with. */
function shownBy(example: string): string {
  const [first] = consoleOf(example);
  if (first?.command !== "npm install && npm start")
    throw new Error(`the README of ${example} doesn't begin with npm install && npm start`);
  return first.shown;
}

/** What was printed, without spaces at the ends of lines, which no README has. */
function linesOf(printed: string): string {
  return printed.replaceAll(/ +$/gm, "");
}

test.each(PROGRAMS)("npm start in %s prints what its README shows", (example) => {
  const cwd = join(projects, example);
  const { stdout, stderr } = spawnSync("npm", ["start", "--silent"], { cwd, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(linesOf(stdout)).toBe(shownBy(example));
});

test.each([
  ["node16", { module: "node16", moduleResolution: "node16" }],
  ["nodenext", { module: "nodenext", moduleResolution: "nodenext" }],
  ["bundler", { module: "preserve", moduleResolution: "bundler" }],
])("the types of all examples are right where modules are resolved as %s does", (mode, resolution) => {
  const files = EXAMPLES.map((example) => {
    const file = join(projects, example, `tsconfig.${mode}.json`);
    const compilerOptions = { ...resolution, noEmit: true, tsBuildInfoFile: `${file}.info` };
    writeFileSync(file, JSON.stringify({ extends: "./tsconfig.json", compilerOptions }));
    return file;
  });
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const { stdout, status } = spawnSync(tsc, ["-b", ...files], { cwd: projects, encoding: "utf8" });
  expect(stdout).toBe("");
  expect(status).toBe(0);
});

test.each(PROGRAMS)("a minified bundle of %s prints the same on each release of Node", async (example) => {
  const outfile = join(projects, example, "bundle.mjs");
  await build({
    entryPoints: [join(projects, example, "src/main.ts")],
    outfile,
    bundle: true,
    minify: true,
    // An error shows the line it was thrown in.
    lineLimit: 160,
    format: "esm",
    platform: "neutral",
    logLevel: "silent",
  });
  const printed = OTHER_NODES.map(({ version, program }) => {
    const { stdout, stderr } = spawnSync(program, [outfile], { cwd: projects, encoding: "utf8" });
    return [version, linesOf(stdout), stderr];
  });
  expect(printed).toEqual(OTHER_NODES.map(({ version }) => [version, shownBy(example), ""]));
});
