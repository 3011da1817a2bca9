// Before the tests: an empty project of somebody who has nothing of this repository but the tarballs, with all of them installed.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { pnpm } from "./tarballs.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of the project. */
    readonly stranger: string;
  }
}

/** Called by vitest before the tests, and after the tarballs are packed. @returns what it calls after them */
export function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-packed-"));
  const { tarballs } = project.getProvidedContext();
  const manifest = {
    name: "stranger",
    type: "module",
    dependencies: tarballs,
    pnpm: { overrides: tarballs },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  pnpm(folder, "install", "--prefer-offline", "--ignore-workspace", "--silent");
  project.provide("stranger", folder);
  return () => rmSync(folder, { recursive: true });
}
