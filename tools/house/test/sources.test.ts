// Rules that hold for every source file.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { exists, packages, readText, ROOT, shapeOf, sources } from "../src/workspace.ts";

const LINES_MAX = 450;
/** Lines of a screen. */
const INDEX_LINES_MAX = 64;
const ALL = packages();
const BELOW_APPS = ALL.filter(({ folder }) => folder.startsWith("packages"));
const TOOLS = ["house/src", "house/test", "test-machines/src"].flatMap((folder) =>
  sources(`tools/${folder}`),
);
const filesOf = (folder: string): string[] => ALL.flatMap((entry) => sources(join(entry.folder, folder)));

/** Files for which the rule finds something, with what it found. */
function offences(
  paths: readonly string[],
  rule: (text: string, path: string) => string | undefined,
): string[] {
  return paths.flatMap((path) => {
    const offence = rule(readText(path), path);
    return offence === undefined ? [] : [`${path}: ${offence}`];
  });
}

/** Subpaths that touch a host: the `./node` of a package, which its main entry does without. */
const ON_NODE = ["packages/host-capture/src/node/", "packages/shell/src/node/"];

test("below apps/ nothing imports a module of Node, but for the subpaths that touch a host", () => {
  const paths = BELOW_APPS.flatMap(({ folder }) => sources(join(folder, "src"))).filter(
    (path) => !ON_NODE.some((subpath) => path.startsWith(subpath)),
  );
  expect(
    offences(paths, (text, path) =>
      shapeOf(path, text).imports.find((request) => request.startsWith("node:")),
    ),
  ).toEqual([]);
});

test("the main entry of a package needs nothing of its subpath for Node", () => {
  const paths = ON_NODE.flatMap((subpath) => sources(dirname(subpath))).filter(
    (path) => !ON_NODE.some((subpath) => path.startsWith(subpath)),
  );
  expect(
    offences(paths, (text, path) =>
      shapeOf(path, text).imports.find((request) => /^\.\/node\/|^@hetmem\/[a-z-]+\/node$/.test(request)),
    ),
  ).toEqual([]);
});

test("nothing is exported by default, and nothing re-exports all of another file", () => {
  expect(
    offences(filesOf("src"), (text, path) => {
      const { hasDefaultExport, reExportsAll } = shapeOf(path, text);
      if (hasDefaultExport) return "has a default export";
      return reExportsAll ? "re-exports everything" : undefined;
    }),
  ).toEqual([]);
});

test("an index fits a screen: a larger one is cut into subpaths", () => {
  const indexes = ALL.flatMap(({ folder, manifest }) =>
    Object.values(manifest.exports ?? {}).flatMap((target) =>
      typeof target === "string" ? [] : [join(folder, target["@hetmem/source"])],
    ),
  );
  expect(indexes.filter((path) => readText(path).split("\n").length > INDEX_LINES_MAX)).toEqual([]);
});

test("an index lists exports and does nothing else", () => {
  const indexes = ALL.map(({ folder }) => join(folder, "src/index.ts"));
  expect(
    offences(indexes, (text, path) =>
      shapeOf(path, text).onlyExports ? undefined : "does more than export",
    ),
  ).toEqual([]);
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  expect(
    offences([...filesOf("src"), ...filesOf("test"), ...TOOLS], (text) => {
      const lines = text.split("\n").length;
      return lines > LINES_MAX ? `${lines} lines` : undefined;
    }),
  ).toEqual([]);
});

test("rivals run as rivalsPlan() says, so that what a failure prints replays it", () => {
  const paths = filesOf("test").filter((path) => !path.startsWith("packages/explore/"));
  expect(
    offences(paths, (text) => {
      if (/env(\.|\[")HETMEM_(SCHEDULES|ROUND)/.test(text)) return "reads the environment of rivals itself";
      return /\brunRivals\(/.test(text) && !/rivalsPlan\(process\.env|\{ schedules: /.test(text)
        ? "runs rivals without a plan"
        : undefined;
    }),
  ).toEqual([]);
});

test("every suite that takes its length from the environment is part of npm run test:slow", () => {
  const missed = ALL.flatMap(({ folder, manifest }) => {
    const [asked = "", names = ""] = (manifest.scripts?.["test:slow"] ?? "").split("vitest.built.ts");
    const filters = names.split(" ").filter((name) => name !== "");
    return offences(
      sources(join(folder, "test")).filter((path) => path.endsWith(".test.ts")),
      (text, path) => {
        const rivals = text.includes("rivalsPlan(process.env") && "HETMEM_SCHEDULES=";
        const property = text.includes('process.env["HETMEM_RUNS"]') && "HETMEM_RUNS=";
        const variables = [rivals, property].filter((variable) => variable !== false);
        if (variables.length === 0) return undefined;
        if (!filters.some((name) => path.includes(name))) return "is run by no script test:slow";
        const unset = variables.find((variable) => !asked.includes(variable));
        return unset && `reads ${unset.slice(0, -1)}, which test:slow doesn't set`;
      },
    );
  });
  expect(missed).toEqual([]);
});

test("every source file begins by saying what it is for", () => {
  const paths = filesOf("src").filter((path) => !path.endsWith("index.ts"));
  expect(
    offences(paths, (text) => (/^(#!.*\n)?\/\/ \S/.test(text) ? undefined : "begins without a comment")),
  ).toEqual([]);
});

test("nothing is left to be done, and no error of the compiler is silenced", () => {
  expect(
    offences(filesOf("src"), (text) => /\b(TODO|FIXME|XXX)\b|@ts-ignore|@ts-expect-error/.exec(text)?.[0]),
  ).toEqual([]);
});

test("every package has a licence, and a README with its four parts", () => {
  for (const { name, folder } of ALL) {
    expect(exists(join(folder, "LICENSE")), `${name} has a LICENSE`).toBe(true);
    const headings = [...readText(join(folder, "README.md")).matchAll(/^#+ (.*)$/gm)].map(
      (match) => match[1],
    );
    expect(headings, `the README of ${name}`).toEqual(
      expect.arrayContaining([name, "Example", "Interface", "Not modelled"]),
    );
  }
});

/** What oxlint says of a file that stands in a package's src: in a tree of its own, since a file here would begin a build. */
function lintSource(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-lint-"));
  try {
    cpSync(join(ROOT, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
    mkdirSync(join(folder, "packages/kernel/src"), { recursive: true });
    writeFileSync(join(folder, "packages/kernel/src/offence.ts"), text);
    const oxlint = join(dirname(createRequire(import.meta.url).resolve("oxlint/package.json")), "bin/oxlint");
    return execFileSync(process.execPath, [oxlint], { cwd: folder, encoding: "utf8" });
  } catch (error) {
    return String((error as { stdout?: string }).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.each([
  ["a clock", "export const now = Date.now();\n", "Date"],
  ["a better clock", "export const now = performance.now();\n", "performance"],
  ["randomness", "export const dice = Math.random();\n", "random"],
  ["the environment", "export const home = process.env;\n", "process"],
  ["a timer", "setTimeout(() => {}, 1);\n", "setTimeout"],
  ["a promise", "export const soon = Promise.resolve();\n", "Promise"],
  ["a way around", "export const now = globalThis.Date.now();\n", "globalThis"],
  ["the host's place", "export const zone = Intl.DateTimeFormat();\n", "Intl"],
  ["the console", "console.log(1);\n", "console"],
])("the linter refuses %s below apps/", (_what, text, name) => {
  expect(lintSource(text)).toContain(name);
});

test("the linter takes a source file that does none of this", () => {
  expect(lintSource("export const answer = 42;\n")).toContain("0 errors");
});
