// Packages as npm publishes them, in the project of a stranger: their files, what they depend on, and their types.
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { PUBLISHED } from "../src/published.ts";
import { ROOT } from "../src/tarballs.ts";

const PROJECT = inject("stranger");
const ENTRIES = PUBLISHED.flatMap(({ entries }) => entries);

test.each(PUBLISHED)(
  "the tarball of $name has its code, types, README and licence, and no tests",
  ({ name }) => {
    const folder = join(PROJECT, "node_modules", name);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const needed of ["README.md", "LICENSE", "dist/index.js", "dist/index.d.ts", "src/index.ts"])
      expect(files).toContain(needed);
    expect(files.filter((file) => /(^|\/)(test|bench)\//.test(file))).toEqual([]);
  },
);

test.each(PUBLISHED)("the tarball of $name names released versions of what it stands on", ({ name }) => {
  const manifest = JSON.parse(readFileSync(join(PROJECT, "node_modules", name, "package.json"), "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  for (const version of Object.values(manifest.dependencies ?? {}))
    expect(version).toMatch(/^\^?\d+\.\d+\.\d+/);
});

/** Entries that touch a host: whoever imports them has the types of Node. */
const ON_NODE = ENTRIES.filter((entry) => entry.endsWith("/node"));

test.each([
  ["entries that run anywhere", ENTRIES.filter((entry) => !ON_NODE.includes(entry)), []],
  ["entries for Node", ON_NODE, ["node"]],
])("the types of %s are whole", (_which, entries, types) => {
  const imports = entries.map((entry, i) => `import type * as entry${i} from "${entry}";`);
  const uses = entries.map((_, i) => `export type Use${i} = typeof entry${i};`);
  writeFileSync(join(PROJECT, "types.ts"), [...imports, ...uses].join("\n"));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: "nodenext",
    target: "es2023",
    lib: ["es2023"],
    types,
    // Elsewhere the types of Node are not to be found, not even by a reference of a declaration.
    typeRoots: types.map(() => join(ROOT, "node_modules/@types")),
  };
  writeFileSync(join(PROJECT, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["types.ts"] }));
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  const checked = spawnSync(tsc, ["-p", "."], { cwd: PROJECT, encoding: "utf8" });
  expect(checked.stdout).toBe("");
  expect(checked.status).toBe(0);
});

test("the command line is in the tarball of hetmem, and finds the captures that come with host-capture", () => {
  const files = readdirSync(join(PROJECT, "node_modules/hetmem/dist"));
  expect(files).toEqual(expect.arrayContaining(["hetmem.cjs", "commands.cjs", "licenses.txt"]));
  for (const unbundled of ["commands", "executable"]) expect(files).not.toContain(unbundled);
  const hetmem = (...args: readonly string[]): string =>
    execFileSync(join(PROJECT, "node_modules/.bin/hetmem"), args, { cwd: PROJECT, encoding: "utf8" });
  expect(hetmem("--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
  // A host whose addresses are hidden is replaced by a capture, and one that shows them is itself.
  expect(JSON.parse(hetmem("boot", "--json"))).toHaveProperty("machine");
  const captures = join(PROJECT, "node_modules/@hetmem/host-capture/fixtures/captures");
  expect(
    hetmem("sh", "--from", join(captures, "tree-nvdimm.tar.gz"), "-c", "uname -s; ndctl --version"),
  ).toBe("Linux\n76.1\n");
});
