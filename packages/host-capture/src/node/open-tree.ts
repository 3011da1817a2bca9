// Trees of /proc and /sys on Node: the host that hetmem runs on, a folder, or a tarball.
import { readdirSync, realpathSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join, resolve, sep } from "node:path";
import { KernelError, MiB } from "@hetmem/kernel";
import type { HostTree } from "../tree.ts";
import { readOutsideFile } from "./outside-file.ts";
import { openTarball } from "./tarball.ts";

/** Bytes of one file of /proc or /sys: zoneinfo of a host with a thousand nodes and cpus has some 100 MiB. */
const FILE_BYTES_MAX = 128 * MiB;
const CAPTURE_FIX = "capture the file again";

/** The host that hetmem runs on. */
export function liveHost(): HostTree {
  return { ...folderTree("/"), name: hostname() || "this host", live: true };
}

/**
 * Opens a captured tree, as `--from` names it.
 *
 * @throws KernelError ENOENT when there is nothing of that name, EINVAL when it is not a tree of /proc and /sys
 */
export function openTree(source: string): HostTree {
  const kind = unlessUnreadable(() => statSync(source, { throwIfNoEntry: false }));
  if (!kind)
    throw new KernelError(
      "ENOENT",
      `${source} does not exist: give --from a folder or a .tar.gz that holds proc/ and sys/`,
    );
  const tree = kind.isDirectory() ? folderTree(source) : openTarball(source);
  if (tree.list("/proc").length === 0) {
    throw new KernelError(
      "EINVAL",
      `${source} holds no proc/ folder: give --from the folder (or its tarball) that proc/ and sys/ stand in`,
    );
  }
  return tree;
}

function folderTree(folder: string): HostTree {
  const root = unlessUnreadable(() => realpathSync(folder)) ?? resolve(folder);
  const readBytes = (path: string): Uint8Array | undefined => {
    const file = insideOf(root, path);
    return file === undefined
      ? undefined
      : unlessUnreadable(() => readOutsideFile({ file, bytesMax: FILE_BYTES_MAX, fix: CAPTURE_FIX }));
  };
  return {
    name: basename(root) || root,
    live: false,
    readBytes,
    read: (path) => {
      const bytes = readBytes(path);
      return bytes === undefined ? undefined : Buffer.from(bytes).toString("utf8");
    },
    list: (path) => {
      const inside = insideOf(root, path);
      return inside === undefined ? [] : (unlessUnreadable(() => readdirSync(inside)) ?? []).sort();
    },
  };
}

/** The host's path of a file of the tree; undefined if it doesn't exist, or if a link leads out of the tree. */
function insideOf(root: string, path: string): string | undefined {
  const real = unlessUnreadable(() => realpathSync(join(root, path)));
  const inside = root.endsWith(sep) ? root : root + sep;
  return real === root || real?.startsWith(inside) ? real : undefined;
}

/** Undefined for a file that doesn't exist, may not be read, or is of a device that has gone. */
function unlessUnreadable<T>(access: () => T): T | undefined {
  try {
    return access();
  } catch (error) {
    if (error instanceof KernelError) {
      if (
        error.errno === "ENOENT" ||
        error.errno === "EACCES" ||
        error.errno === "EIO" ||
        error.errno === "EISDIR"
      )
        return undefined;
      throw error;
    }
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
