// A room is a package that a reader can hold in mind: its files import one another in one direction, and it has an end.
import { join } from "node:path";
import { expect, test } from "vitest";
import { longFunctions } from "../src/function-lengths.ts";
import { circlesIn, valueImports } from "../src/import-circles.ts";
import { parseFile } from "../src/syntax.ts";
import { packageOf, packages, readText, shapeOf, sources } from "../src/workspace.ts";

const ROOM_LINES_MAX = 12_000;
const FUNCTION_LINES_MAX = 70;

const ROOMS = packages().map(({ name, folder }) => ({
  name,
  files: sources(join(folder, "src")).map((path) => parseFile(path, readText(path))),
}));

const TOOLS = ["tools/house", "tools/test-machines"].map((folder) =>
  sources(join(folder, "src")).map((path) => parseFile(path, readText(path))),
);

test("no two files of a package import each other's values, directly or around others", () => {
  const folders = [...ROOMS.map(({ files }) => files), ...TOOLS];
  expect(folders.flatMap((files) => circlesIn(valueImports(files)))).toEqual([]);
});

test("no two packages import each other, values or types, directly or around others", () => {
  const imports = ROOMS.map(({ name, files }) => {
    const requests = files.flatMap(({ path, text }) => shapeOf(path, text).imports);
    return [name, [...new Set(requests.flatMap((request) => packageOf(request) ?? []))]] as const;
  });
  expect(circlesIn(new Map(imports))).toEqual([]);
});

test(`no package has more than ${ROOM_LINES_MAX} lines`, () => {
  const lines = ROOMS.map(({ name, files }) => ({
    name,
    lines: files.reduce((sum, { text }) => sum + text.trimEnd().split("\n").length, 0),
  }));
  expect(lines.filter((room) => room.lines > ROOM_LINES_MAX)).toEqual([]);
});

test(`no function has more than ${FUNCTION_LINES_MAX} lines`, () => {
  const files = ROOMS.flatMap((room) => room.files);
  expect(files.flatMap((file) => longFunctions(file, FUNCTION_LINES_MAX))).toEqual([]);
});

/** The files of a made-up package. */
function circlesOf(texts: Readonly<Record<string, string>>): string[][] {
  return circlesIn(valueImports(Object.entries(texts).map(([name, text]) => parseFile(`src/${name}`, text))));
}

test.each([
  ["two files", { "a.ts": 'import { b } from "./b.ts";', "b.ts": 'import { a } from "./a.ts";' }],
  [
    "three files and folders",
    {
      "a.ts": 'import { b } from "./in/b.ts";',
      "in/b.ts": 'export { c } from "./c.ts";',
      "in/c.ts": 'import type { B } from "./b.ts";\nimport { type A } from "../a.ts";',
    },
  ],
])("a circle of %s is found", (_what, texts) => {
  expect(circlesOf(texts)).toEqual([Object.keys(texts).map((name) => `src/${name}`)]);
});

test("a circle of types is none, nor are two ways to one file", () => {
  const texts = {
    "a.ts": 'import { b } from "./b.ts";\nimport { c } from "./c.ts";',
    "b.ts": 'import type { A } from "./a.ts";\nimport { c } from "./c.ts";',
    "c.ts": 'import type { A } from "./a.ts";',
  };
  expect(circlesOf(texts)).toEqual([]);
});

test("a function of a class, a generator and an arrow are measured, with what is in them", () => {
  const body = "\n".repeat(3);
  for (const text of [
    `function* f() {${body}}`,
    `class C { m() {${body}} }`,
    `const f = () => {${body}};`,
    `const f = () => [${body}];`,
  ]) {
    expect(longFunctions(parseFile("sample.ts", text), 3)).toHaveLength(1);
    expect(longFunctions(parseFile("sample.ts", text), 4)).toEqual([]);
  }
});
