// The projects of examples/, copied out of the repository and installed from the packed packages. pnpm gives each project what
// its package.json names and nothing else, so that a package it forgot to name is missing.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pnpm, ROOT } from "./tarballs.ts";

/** Names of all examples. */
export const EXAMPLES: readonly string[] = readdirSync(join(ROOT, "examples"), {
  withFileTypes: true,
}).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

/** Tools that examples take from the registry. Theirs may be newer than those of this repository, which are installed. */
const TOOLS = ["typescript", "@types/node", "esbuild"];

/**
 * Installs examples, each in a folder of its name.
 *
 * @param tarballs specifiers by package
 * @returns the folder that they are in, which the caller removes
 */
export function installExamples(
  names: readonly string[],
  tarballs: Readonly<Record<string, string>>,
): string {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-examples-"));
  for (const name of names)
    cpSync(join(ROOT, "examples", name), join(folder, name), {
      recursive: true,
      filter: (path) => !["node_modules", "dist"].includes(basename(path)),
    });
  const overrides = { ...tarballs, ...Object.fromEntries(TOOLS.map((tool) => [tool, versionOf(tool)])) };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, pnpm: { overrides } }));
  writeFileSync(
    join(folder, "pnpm-workspace.yaml"),
    "packages: ['*']\nignoredBuiltDependencies: [esbuild]\n",
  );
  pnpm(folder, "install", "--prefer-offline", "--silent");
  return folder;
}

function versionOf(tool: string): string {
  const manifests = [ROOT, join(ROOT, "tools/packing")].map((root) =>
    join(root, "node_modules", tool, "package.json"),
  );
  const manifest = manifests.find((path) => existsSync(path));
  if (manifest === undefined) throw new Error(`${tool} is no dependency of this repository`);
  return (JSON.parse(readFileSync(manifest, "utf8")) as { readonly version: string }).version;
}

/** A command of a README, and the lines that it shows. */
export interface ConsoleStep {
  readonly command: string;
  /** Each line with its end. */
  readonly shown: string;
}

/** The steps of the console blocks of an example's README. A block has one prompt, `$` or `#`: that of its first line. */
export function consoleOf(example: string): ConsoleStep[] {
  const readme = readFileSync(join(ROOT, "examples", example, "README.md"), "utf8");
  return [...readme.matchAll(/^```console\n(([$#]) .*?)^```$/gms)].flatMap(([, inside = "", prompt]) =>
    inside.split(prompt === "$" ? /^(?=\$ )/m : /^(?=# )/m).map((step) => {
      const [first = "", ...shown] = step.split("\n");
      return { command: first.slice(2), shown: shown.join("\n") };
    }),
  );
}
