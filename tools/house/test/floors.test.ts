// Packages know only what lies below them, and say so three times alike: in their imports, their manifest and their
// project references.
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import { FLOORS, forbidden } from "../src/floors.ts";
import {
  type Manifest,
  type Package,
  packageOf,
  packages,
  readText,
  shapeOf,
  sources,
} from "../src/workspace.ts";

const ALL = packages();
const WORKSPACE = JSON.parse(readText("package.json")) as Manifest;
const OURS = new Set(ALL.map(({ name }) => name));

/** Folders of sources that are published as a bundle alone: what only these import is in the bundle. */
const BUNDLED = ["apps/machine/src/commands/", "apps/machine/src/executable/"];

function importsOf(paths: readonly string[]): Set<string> {
  const requests = paths.flatMap((path) => shapeOf(path, readText(path)).imports);
  return new Set(requests.flatMap((request) => packageOf(request) ?? []));
}

function references({ folder }: Package): string[] {
  const project = JSON.parse(readText(join(folder, "tsconfig.json"))) as { references?: { path: string }[] };
  return (project.references ?? [])
    .map(({ path }) => ALL.find((other) => other.folder === normalize(join(folder, path)))?.name ?? path)
    .sort();
}

test("every package has a floor", () => {
  expect(ALL.map(({ name }) => name).sort()).toEqual(Object.keys(FLOORS).sort());
});

describe.each(ALL.map((entry) => [entry.name, entry] as const))("%s", (name, entry) => {
  const paths = sources(join(entry.folder, "src"));
  const imported = importsOf(paths);
  const ours = [...imported].filter((dependency) => OURS.has(dependency)).sort();

  test("imports only downward", () => {
    expect(ours.flatMap((dependency) => forbidden(name, dependency) ?? [])).toEqual([]);
  });

  test("depends on what it imports, and on nothing else", () => {
    const published = paths.filter((path) => !BUNDLED.some((folder) => path.startsWith(folder)));
    expect([...importsOf(published)].sort()).toEqual(Object.keys(entry.manifest.dependencies ?? {}).sort());
  });

  test("references the projects that it imports", () => {
    expect(references(entry)).toEqual(ours);
  });

  test("tests with what it declares", () => {
    const declared = [
      ...Object.keys(entry.manifest.dependencies ?? {}),
      ...Object.keys(entry.manifest.devDependencies ?? {}),
      // The whole house is a dependency of the root: a test may stand on packages above its own, and no package does.
      ...Object.keys(WORKSPACE.devDependencies ?? {}),
      name,
    ];
    const used = [...importsOf(sources(join(entry.folder, "test")))].filter(
      (dependency) => !declared.includes(dependency),
    );
    expect(used).toEqual([]);
  });

  test("reaches into no other package's files", () => {
    const strays = sources(join(entry.folder, "src")).flatMap((path) =>
      shapeOf(path, readText(path))
        .imports.filter((request) => request.startsWith("."))
        .filter((request) => !normalize(join(dirname(path), request)).startsWith(join(entry.folder, "src")))
        .map((request) => `${path} imports ${request}`),
    );
    expect(strays).toEqual([]);
  });
});

test("an upward import, a neighbour and a stranger are each refused with a reason", () => {
  expect(forbidden("@hetmem/page", "@hetmem/zone")).toMatch(/upward/);
  expect(forbidden("@hetmem/page", "@hetmem/vfs")).toMatch(/neighbour/);
  expect(forbidden("@hetmem/page", "@hetmem/nothing")).toMatch(/no floor/);
  expect(forbidden("@hetmem/zone", "@hetmem/page")).toBeUndefined();
});
