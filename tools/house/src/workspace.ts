// The repository's packages, their files, and the imports of these.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync } from "oxc-parser";

export const ROOT: string = fileURLToPath(new URL("../../..", import.meta.url));

export interface Package {
  readonly name: string;
  /** Folder, from the root. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  readonly keywords?: readonly string[];
  readonly homepage?: string;
  readonly bugs?: { readonly url: string };
  readonly license?: string;
  readonly author?: string;
  readonly repository?: { readonly type: string; readonly url: string; readonly directory: string };
  readonly publishConfig?: { readonly access: string };
  readonly engines?: { readonly node: string };
  readonly sideEffects?: false | readonly string[];
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  /** By subpath: "." and "./rmap"; a string for a file that isn't code. */
  readonly exports?: Readonly<
    Record<string, string | { readonly "@hetmem/source": string; readonly types: string }>
  >;
}

/** Everything under packages/ and apps/. */
export function packages(): Package[] {
  return ["packages", "apps"].flatMap((group) =>
    readdirSync(join(ROOT, group)).map((name) => {
      const folder = join(group, name);
      const manifest = JSON.parse(readText(join(folder, "package.json"))) as Manifest;
      return { name: manifest.name, folder, manifest };
    }),
  );
}

/** Paths of a folder's TypeScript files, from the root; none where there is no such folder. */
export function sources(folder: string): string[] {
  const full = join(ROOT, folder);
  if (!statSync(full, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(full, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.includes("node_modules"))
    .map((path) => relative(ROOT, join(full, path)));
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

export function exists(path: string): boolean {
  return statSync(join(ROOT, path), { throwIfNoEntry: false }) !== undefined;
}

export interface FileShape {
  /** Specifiers of its imports and re-exports, as written. */
  readonly imports: readonly string[];
  readonly hasDefaultExport: boolean;
  /** `export * from …` */
  readonly reExportsAll: boolean;
  /** Whether it does anything but re-export. */
  readonly onlyExports: boolean;
}

/** @param text TypeScript */
export function shapeOf(path: string, text: string): FileShape {
  const { module, program } = parseSync(basename(path), text);
  const fromExports = module.staticExports.flatMap(({ entries }) =>
    entries.flatMap((entry) => entry.moduleRequest?.value ?? []),
  );
  return {
    imports: [...new Set([...module.staticImports.map((line) => line.moduleRequest.value), ...fromExports])],
    hasDefaultExport: module.staticExports.some(({ entries }) =>
      entries.some((entry) => entry.exportName.kind === "Default"),
    ),
    reExportsAll: program.body.some((node) => node.type === "ExportAllDeclaration"),
    onlyExports: program.body.every((node) => node.type === "ExportNamedDeclaration" && node.source !== null),
  };
}

/** The name of the package that an import is from, undefined for files and for node's own modules. */
export function packageOf(request: string): string | undefined {
  if (request.startsWith(".") || request.startsWith("node:")) return undefined;
  const parts = request.split("/");
  return request.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
}
