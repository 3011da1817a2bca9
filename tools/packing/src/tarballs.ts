// Packs every package once for a run of the tests, as npm would publish it. Tests install the tarballs wherever they like.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** By package: the specifier of its tarball, `file:…`. */
    readonly tarballs: Readonly<Record<string, string>>;
  }
}

export const ROOT: string = fileURLToPath(new URL("../../..", import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export interface PublishedPackage {
  /** From the root. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Everything under packages/ and apps/. */
export function publishedPackages(): PublishedPackage[] {
  return ["packages", "apps"].flatMap((group) =>
    readdirSync(join(ROOT, group)).map((name) => {
      const folder = join(group, name);
      return { folder, manifest: manifestOf(folder) };
    }),
  );
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Manifest;
}

/** Runs the pnpm that the repository names. */
export function pnpm(cwd: string, ...args: readonly string[]): string {
  const { packageManager } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    readonly packageManager: string;
  };
  return execFileSync("npx", ["-y", packageManager, ...args], { cwd, encoding: "utf8", stdio: "pipe" });
}

/** Called by vitest before the tests. @returns what it calls after them */
export function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-tarballs-"));
  pnpm(ROOT, "--filter", "./packages/*", "--filter", "./apps/*", "pack", "--pack-destination", folder);
  const tarballs = publishedPackages().map(({ manifest: { name, version } }) => {
    const file = `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
    return [name, `file:${join(folder, file)}`] as const;
  });
  project.provide("tarballs", Object.fromEntries(tarballs));
  return () => rmSync(folder, { recursive: true });
}
