// What a user meets of each published package: its entries, and the example of its README.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { publishedPackages, ROOT } from "./tarballs.ts";

export interface Published {
  readonly name: string;
  readonly version: string;
  /** From the root. */
  readonly folder: string;
  /** What a program imports: "@hetmem/shell", "@hetmem/shell/node". */
  readonly entries: readonly string[];
  /** TypeScript of the README's first example. */
  readonly example: string;
}

export const PUBLISHED: readonly Published[] = publishedPackages().map(({ folder, manifest }) => {
  const { name, version, exports } = manifest;
  const readme = readFileSync(join(ROOT, folder, "README.md"), "utf8");
  return {
    name,
    version,
    folder,
    entries: Object.entries(exports)
      .filter(([, entry]) => typeof entry === "object")
      .map(([subpath]) => `${name}${subpath.slice(1)}`),
    example: /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "",
  };
});
