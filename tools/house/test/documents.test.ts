// What the documents name is there: files, packages and their floors, and the answers to a stranger's questions.
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { FLOORS } from "../src/floors.ts";
import { exists, packages, readText } from "../src/workspace.ts";

const ARCHITECTURE = readText("docs/architecture.md");

/** The cells of the rows of a table, without its head. */
function rowsOf(text: string, head: RegExp): string[][] {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => head.test(line)) + 2;
  const count = lines.slice(from).findIndex((line) => !line.startsWith("|"));
  return lines.slice(from, from + count).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function inCode(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

test("every file that docs/architecture.md names exists", () => {
  const paths = inCode(ARCHITECTURE).filter((code) => /^(packages|apps|tools|docs)\/[\w./-]+$/.test(code));
  expect(paths.length).toBeGreaterThan(40);
  expect(paths.filter((path) => !exists(path))).toEqual([]);
});

test("a page's journey names a file at each of its steps", () => {
  const journey = /## How a page travels\n([\s\S]*?)\n## /.exec(ARCHITECTURE)?.[1] ?? "";
  const steps = journey.split(/\n(?=\d+\. )/).slice(1);
  expect(steps.length).toBe(11);
  for (const step of steps) expect(step).toMatch(/`packages\/[\w-]+\/src\/[\w./-]+\.ts`/);
});

test("docs/architecture.md has every package on its floor", () => {
  const floors = rowsOf(ARCHITECTURE, /^\| floor \| package/).flatMap(([floor, cell = ""]) =>
    inCode(cell)
      .filter((code) => code.includes("/"))
      .map((folder) => [folder, Number(floor)] as const),
  );
  const expected = packages().map(({ name, folder }) => [folder, FLOORS[name]] as const);
  expect(Object.fromEntries(floors)).toEqual(Object.fromEntries(expected));
});

test("the README lists every package", () => {
  const listed = rowsOf(readText("README.md"), /^\| package \| what it is/).flatMap(([cell = ""]) =>
    inCode(cell),
  );
  expect(listed.sort()).toEqual(
    packages()
      .map(({ name }) => name)
      .sort(),
  );
});

const QUESTIONS = rowsOf(readText("docs/where.md"), /^\| question \| package/);

describe("a stranger's questions", () => {
  test("are ten", () => {
    expect(QUESTIONS.length).toBe(10);
  });

  test.each(QUESTIONS)("%s", (_question, packageCell = "", fileCell = "", namesCell = "") => {
    const [folder = ""] = inCode(packageCell);
    const [file = ""] = inCode(fileCell);
    const path = join(folder, file);
    expect(exists(path), `${path} exists`).toBe(true);
    for (const name of inCode(namesCell))
      expect(readText(path)).toMatch(
        new RegExp(`^export (function\\*?|const|class|interface) ${name}\\b`, "m"),
      );
    const readme = readText(join(folder, "README.md"));
    const told = [
      basename(file),
      basename(file, ".ts"),
      `${file.split("/")[1] ?? ""}/`,
      ...inCode(namesCell),
    ];
    expect(
      told.some((word) => readme.includes(word)),
      `the README of ${folder} leads to ${file}`,
    ).toBe(true);
  });
});
