// A machine's files as real ones. Each file is read once, as `cp -a` of a live /proc and /sys would: permissions are kept,
// files that can only be written come out empty, links stay links.
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { KernelError, run } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";

/** The folders that are exported: the machine's /dev and plain files are not. */
const ROOTS = ["/proc", "/sys"];

export interface WrittenTree {
  readonly files: number;
  readonly links: number;
  readonly directories: number;
}

/**
 * Writes /proc and /sys below a folder, which is made when it isn't there.
 *
 * @throws KernelError ENOENT for an empty name, ENOTEMPTY for a folder with something in it, ENOTDIR for a file, EACCES or ENOSPC from the host
 */
export function writeTree(vfs: Vfs, folder: string): WrittenTree {
  prepare(folder);
  const count = { files: 0, links: 0, directories: 0 };
  for (const root of ROOTS.filter((path) => vfs.exists(path))) {
    asKernelError(folder, () => mkdirSync(join(folder, root)));
    for (const entry of vfs.walk(root)) {
      const target = join(folder, entry.path);
      if (entry.kind === "directory") {
        asKernelError(target, () => mkdirSync(target));
        count.directories++;
      } else if (entry.kind === "link") {
        asKernelError(target, () => symlinkSync(entry.target ?? "", target));
        count.links++;
      } else {
        const text = textOf(vfs, entry.path);
        asKernelError(target, () => writeFileSync(target, text, { mode: vfs.stat(entry.path).mode }));
        count.files++;
      }
    }
  }
  return count;
}

function prepare(folder: string): void {
  if (folder === "")
    throw new KernelError("ENOENT", "an empty name is no folder: name a new one to export to");
  const kind = statSync(folder, { throwIfNoEntry: false });
  if (kind && !kind.isDirectory())
    throw new KernelError("ENOTDIR", `${folder} is a file: name a new folder to export to`);
  if (kind && readdirSync(folder).length > 0) {
    throw new KernelError(
      "ENOTEMPTY",
      `${folder} is not empty, and old files would be taken for the machine's: name a new folder, or empty it`,
    );
  }
  makeFolder(resolve(folder));
}

/** With the folders above it, one by one: node's own way to do that never comes back where none can be made, as in /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  asKernelError(folder, () => mkdirSync(folder));
}

/** A file that can't be read (write-only, or one that answers with an error) is empty in a copy. */
function textOf(vfs: Vfs, path: string): string {
  try {
    return run(vfs.read(path));
  } catch (error) {
    if (error instanceof KernelError) return "";
    throw error;
  }
}

function asKernelError(path: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOSPC")
      throw new KernelError("ENOSPC", `${path} can't be written, the disk is full: export to another one`);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new KernelError(
        "ENOENT",
        `${path} can't be made in ${dirname(path)}: export to a folder below one that is yours`,
      );
    }
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new KernelError(
        "EACCES",
        `${path} may not be written: export to a folder below one that is yours, not ${dirname(path)}`,
      );
    }
    throw error;
  }
}
