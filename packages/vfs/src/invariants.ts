// Invariants of a file system, which hold at every step: list, readdir, readlink and lookup agree.
import { type Invariant, KernelError } from "@hetmem/kernel";
import type { Vfs } from "./vfs.ts";

export const vfsInvariants: readonly Invariant<Vfs>[] = [
  {
    name: "what a directory lists can be looked up and is of the listed kind",
    *check(vfs) {
      for (const { path, kind } of vfs.walk("/")) {
        const found = kindOf(vfs, path);
        if (found !== kind) yield `${path} is listed as a ${kind} and found as ${found}`;
      }
    },
  },
  {
    name: "readdir gives the names that list gives",
    *check(vfs) {
      for (const path of ["/", ...directories(vfs)]) {
        const listed = vfs.list(path).map(({ name }) => name);
        const read = vfs
          .readdir(path)
          .map(({ name }) => name)
          .sort();
        if (listed.sort().join("\0") !== read.join("\0"))
          yield `${path}: ${listed.join(" ")} or ${read.join(" ")}`;
      }
    },
  },
  {
    name: "links are relative and readlink tells what the listing told",
    *check(vfs) {
      for (const { path, kind, target } of vfs.walk("/")) {
        if (kind !== "link") continue;
        if (vfs.readlink(path) !== target)
          yield `${path} is listed with ${target} and read as ${vfs.readlink(path)}`;
        if (target?.startsWith("/")) yield `${path} points to ${target}, which is absolute`;
      }
    },
  },
];

function kindOf(vfs: Vfs, path: string): string {
  try {
    return vfs.lstat(path).kind;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return error.message;
  }
}

function directories(vfs: Vfs): string[] {
  return Array.from(vfs.walk("/"))
    .filter(({ kind }) => kind === "directory")
    .map(({ path }) => path);
}
