// Applications of one file, as a bundler makes them of what is built of the packages: for a browser, or for Node.
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build as buildWithEsbuild } from "esbuild";
import { type Plugin, rolldown } from "rolldown";
import { ROOT } from "./workspace.ts";

export type Platform = "browser" | "node";

export interface Chunk {
  readonly name: string;
  readonly code: string;
  /** Whether it is loaded with the application, and not when a part of it asks. */
  readonly first: boolean;
  /** Files that it is made of. */
  readonly files: readonly string[];
  /** What it leaves to be found by whoever runs it. */
  readonly imports: readonly string[];
}

export interface BundleOptions {
  readonly platform?: Platform;
  readonly minify?: boolean;
  /** Whether a request stays out of the bundle. */
  readonly external?: (request: string) => boolean;
}

const ENTRY = "application";
/** Applications resolve packages as a file of the house does. */
const IMPORTER = join(ROOT, "tools/house/src/application.ts");

/** Bundles an application with rolldown, as vite does. @param application its text, in JavaScript */
export async function bundleOf(
  application: string,
  { platform = "browser", minify = false, external = () => false }: BundleOptions = {},
): Promise<Chunk[]> {
  const bundle = await rolldown({
    input: ENTRY,
    platform,
    logLevel: "silent",
    external: (request) => (platform === "node" && isBuiltin(request)) || external(request),
    plugins: [applicationPlugin(application)],
  });
  const { output } = await bundle.generate({ format: "es", minify, comments: false });
  const chunks = output.flatMap((part) => (part.type === "chunk" ? [part] : []));
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const first = new Set<string>();
  const load = (name: string): void => {
    if (first.has(name)) return;
    first.add(name);
    for (const next of byName.get(name)?.imports ?? []) if (byName.has(next)) load(next);
  };
  for (const { isEntry, fileName } of chunks) if (isEntry) load(fileName);
  return chunks.map(({ fileName, code, moduleIds, imports }) => ({
    name: fileName,
    code,
    first: first.has(fileName),
    files: moduleIds,
    imports: imports.filter((request) => !byName.has(request)),
  }));
}

function applicationPlugin(application: string): Plugin {
  return {
    name: ENTRY,
    resolveId(request, importer) {
      if (request === ENTRY) return `\0${ENTRY}`;
      return importer === `\0${ENTRY}` ? this.resolve(request, IMPORTER, { skipSelf: true }) : null;
    },
    load: (id) => (id === `\0${ENTRY}` ? application : null),
  };
}

/** Bundles an application with esbuild into one text. */
export async function esbuildOf(application: string, platform: Platform): Promise<string> {
  const { outputFiles } = await buildWithEsbuild({
    stdin: { contents: application, resolveDir: join(ROOT, "tools/house/src") },
    bundle: true,
    write: false,
    format: "esm",
    platform,
    target: "es2023",
    logLevel: "silent",
  });
  return outputFiles.map(({ text }) => text).join("\n");
}

/** Bytes of a text as a server sends it. */
export function gzippedBytes(code: string): number {
  return gzipSync(code, { level: 9 }).length;
}
