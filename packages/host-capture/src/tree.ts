// A host's files of /proc and /sys, by absolute path. The readers of this package know no other source, so that a live host, a
// capture and a machine that hetmem booted are read by the same code. Trees of folders and tarballs are in node/.
import { KernelError, run } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";

/** A tree of files, by absolute path ("/proc/iomem"). */
export interface HostTree {
  /** A host name, a folder or a tarball. Sentences about a file begin with it. */
  readonly name: string;
  /** Whether the tree is the host that hetmem runs on. */
  readonly live: boolean;
  /** The text of a file; undefined if it doesn't exist or may not be read. */
  read(path: string): string | undefined;
  readBytes(path: string): Uint8Array | undefined;
  /** The names in a directory, sorted; none if it doesn't exist. */
  list(path: string): string[];
}

/**
 * A tree of files in memory.
 *
 * @param files contents by absolute path; undefined for a link or a directory, of which only the name is known
 */
export function filesTree(name: string, files: ReadonlyMap<string, Uint8Array | undefined>): HostTree {
  const folders = new Map<string, Set<string>>();
  for (const path of files.keys()) enter(folders, path);
  return {
    name,
    live: false,
    readBytes: (path) => files.get(path),
    read: (path) => {
      const bytes = files.get(path);
      return bytes && new TextDecoder().decode(bytes);
    },
    list: (path) => [...(folders.get(path === "/" ? "" : path) ?? [])].sort(),
  };
}

/** The files of a machine that hetmem booted. */
export function vfsTree(name: string, vfs: Vfs): HostTree {
  const read = (path: string): string | undefined => unlessMissing(() => run(vfs.read(path)));
  return {
    name,
    live: false,
    read,
    readBytes: (path) => {
      const text = read(path);
      return text === undefined ? undefined : new TextEncoder().encode(text);
    },
    list: (path) => (unlessMissing(() => vfs.list(path)) ?? []).map((entry) => entry.name).sort(),
  };
}

/** The name of a file for a sentence: "capture.tar.gz: proc/zoneinfo". */
export function fileLabel(tree: HostTree, path: string): string {
  return tree.live ? path : `${tree.name}: ${path.slice(1)}`;
}

/**
 * Reads a file that a machine can't be made without.
 *
 * @param holds the contents of the file, for the sentence
 * @throws KernelError ENOENT
 */
export function readRequired(tree: HostTree, path: string, holds: string): string {
  const text = tree.read(path);
  if (text !== undefined) return text;
  const fix = tree.live
    ? "run hetmem on Linux, or name a capture with --from"
    : `capture it again with ${path.slice(1)} in it`;
  throw new KernelError("ENOENT", `${fileLabel(tree, path)} is missing, and it holds ${holds}: ${fix}`);
}

/** Adds a path, and each folder above it, to the list of its folder. */
function enter(folders: Map<string, Set<string>>, path: string): void {
  for (let at = path; at !== "";) {
    const slash = at.lastIndexOf("/");
    const parent = at.slice(0, slash);
    let names = folders.get(parent);
    if (!names) folders.set(parent, (names = new Set()));
    const name = at.slice(slash + 1);
    if (name === "" || names.has(name)) return;
    names.add(name);
    at = parent;
  }
}

function unlessMissing<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
