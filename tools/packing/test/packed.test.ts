// Packages as npm publishes them: packed, installed into an empty project, and used there as their READMEs say. Nothing of this
// repository but the tarballs is in reach. `npm run test:packages` at the root builds before.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transformWithOxc } from "vite";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type Manifest, pnpm, publishedPackages, ROOT } from "../src/tarballs.ts";

const PROJECT = mkdtempSync(join(tmpdir(), "hetmem-packed-"));
const PACKAGES = publishedPackages();
const MANIFESTS = PACKAGES.map(({ manifest }) => manifest);

/** The import statements of each entry of a package. What is exported as a file alone isn't code. */
const SPECIFIERS = MANIFESTS.flatMap(({ name, exports }) =>
  Object.entries(exports)
    .filter(([, target]) => typeof target !== "string")
    .map(([subpath]) => `${name}${subpath.slice(1)}`),
);

function node(file: string): string {
  return execFileSync(process.execPath, [file], { cwd: PROJECT, encoding: "utf8", stdio: "pipe" });
}

beforeAll(() => {
  const tarballs = inject("tarballs");
  const manifest = {
    name: "stranger",
    type: "module",
    dependencies: tarballs,
    pnpm: { overrides: tarballs },
  };
  writeFileSync(join(PROJECT, "package.json"), JSON.stringify(manifest));
  pnpm(PROJECT, "install", "--prefer-offline", "--ignore-workspace", "--silent");
});

afterAll(() => rmSync(PROJECT, { recursive: true }));

test.each(MANIFESTS)(
  "the tarball of $name has its code, types, README and licence, and no tests",
  ({ name }) => {
    const folder = join(PROJECT, "node_modules", name);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    for (const needed of ["README.md", "LICENSE", "dist/index.js", "dist/index.d.ts", "src/index.ts"])
      expect(files).toContain(needed);
    expect(files.filter((file) => /(^|\/)(test|bench)\//.test(file))).toEqual([]);
  },
);

test.each(MANIFESTS)("the tarball of $name names released versions of what it stands on", ({ name }) => {
  const manifest = JSON.parse(
    readFileSync(join(PROJECT, "node_modules", name, "package.json"), "utf8"),
  ) as Manifest;
  for (const version of Object.values(manifest.dependencies ?? {}))
    expect(version).toMatch(/^\^?\d+\.\d+\.\d+/);
});

test.each(SPECIFIERS)("import %s", (specifier) => {
  const file = join(PROJECT, "import.mjs");
  writeFileSync(file, `import * as all from "${specifier}";\nconsole.log(Object.keys(all).length);\n`);
  expect(Number(node(file))).toBeGreaterThan(specifier === "@hetmem/mm/ports" ? -1 : 0);
});

/** Entries that touch a host: whoever imports them has the types of Node. */
const ON_NODE = SPECIFIERS.filter((specifier) => specifier.endsWith("/node"));

test.each([
  ["entries that run anywhere", SPECIFIERS.filter((specifier) => !ON_NODE.includes(specifier)), []],
  ["entries for Node", ON_NODE, ["node"]],
])("the types of %s are whole", (_which, specifiers, types) => {
  const imports = specifiers.map((specifier, i) => `import type * as entry${i} from "${specifier}";`);
  const uses = specifiers.map((_, i) => `export type Use${i} = typeof entry${i};`);
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

const EXAMPLES = PACKAGES.map(({ folder }) => {
  const readme = readFileSync(join(ROOT, folder, "README.md"), "utf8");
  return [folder, /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ""] as const;
});

test.each(EXAMPLES)("the example of %s runs where only packages are installed", async (_folder, example) => {
  const { code } = await transformWithOxc(example, "example.ts");
  const file = join(PROJECT, "example.mjs");
  writeFileSync(file, code);
  expect(node(file)).not.toBe("");
});
