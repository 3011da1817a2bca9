// The releases of Node that the packages are tried on: the oldest that they run on, 22 and 24, and the one that runs the tests. npm has
// Node's binaries, some 100 MB each, so `npm run setup` doesn't install them: the first `npm run test:packages` does, into a cache.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { pnpm, ROOT } from "./tarballs.ts";

declare module "vitest" {
  interface ProvidedContext {
    readonly nodes: readonly NodeRelease[];
  }
}

const VERSIONS = ["20.19.0", "22.23.5", "24.22.3"];
const CACHE = join(ROOT, "node_modules/.cache/hetmem-node");

export interface NodeRelease {
  readonly version: string;
  /** Path of its program. */
  readonly program: string;
}

/** Called by vitest before the tests: several suites use the releases. */
export function setup(project: TestProject): void {
  project.provide("nodes", nodeReleases());
}

/**
 * The releases to try, installed where they aren't yet.
 *
 * @throws Error when the registry can't be reached, or has no binaries for this platform
 */
function nodeReleases(): NodeRelease[] {
  const system = process.platform === "win32" ? "win" : process.platform;
  const dependencies = Object.fromEntries(
    VERSIONS.map((version) => [`node-${version}`, `npm:node-${system}-${process.arch}@${version}`]),
  );
  const manifest = JSON.stringify({ name: "nodes", private: true, dependencies });
  const path = join(CACHE, "package.json");
  const releases = VERSIONS.map((version) => ({
    version,
    program: join(CACHE, "node_modules", `node-${version}`, "bin/node"),
  }));
  const installed =
    releases.every(({ program }) => existsSync(program)) && readFileSync(path, "utf8") === manifest;
  if (!installed) {
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(path, manifest);
    pnpm(CACHE, "install", "--prefer-offline", "--ignore-workspace", "--silent");
  }
  return [...releases, { version: process.versions.node, program: process.execPath }];
}
