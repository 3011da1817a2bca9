// A captured tree in a tarball, unpacked in memory. Archives written as `tar -C / proc sys`, with or without "./" or a
// folder around them, all read alike.
import { accessSync, constants } from "node:fs";
import { basename } from "node:path";
import { KernelError } from "@hetmem/kernel";
import { list as listTar } from "tar";
import type { HostTree } from "./tree.ts";

/**
 * Reads a .tar or .tar.gz.
 *
 * @throws KernelError EINVAL when it is cut short or is no archive at all
 */
export function openTarball(file: string): HostTree {
  const name = basename(file);
  const entries = unpack(file);
  const root = rootOf(entries.keys());
  const files = new Map<string, Uint8Array>();
  const folders = new Map<string, Set<string>>();
  for (const [path, bytes] of entries) {
    if (!path.startsWith(root)) continue;
    const inside = `/${path.slice(root.length)}`;
    if (bytes) files.set(inside, bytes);
    enter(folders, inside);
  }
  return {
    name,
    live: false,
    readBytes: (path) => files.get(path),
    read: (path) => {
      const bytes = files.get(path);
      return bytes && Buffer.from(bytes).toString("utf8");
    },
    list: (path) => [...(folders.get(path === "/" ? "" : path) ?? [])].sort(),
  };
}

/** Every entry by its path without "./"; directories and links have no bytes. */
function unpack(file: string): Map<string, Uint8Array | undefined> {
  accessSync(file, constants.R_OK);
  const entries = new Map<string, Uint8Array | undefined>();
  try {
    listTar({
      file,
      sync: true,
      strict: true,
      onReadEntry: (entry) => {
        const path = entry.path.replace(/^(\.?\/)+/, "").replace(/\/$/, "");
        const chunks: Buffer[] = [];
        const isFile = entry.type === "File" || entry.type === "OldFile";
        entry.on("data", (chunk) => chunks.push(chunk));
        entry.on("end", () => entries.set(path, isFile ? Buffer.concat(chunks) : undefined));
      },
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const what = /unexpected end|truncated/i.test(why)
      ? "is cut short"
      : `is not a tar archive (${why.replace(/^TAR_\w+: /, "")})`;
    throw new KernelError(
      "EINVAL",
      `${file} ${what}: pack it again with tar -czf ${basename(file)} -C FOLDER proc sys`,
    );
  }
  return entries;
}

/** What stands before "proc/" in the archive's paths. */
function rootOf(paths: Iterable<string>): string {
  for (const path of paths) {
    const at = /^((?:.*\/)?)proc\/(?:zoneinfo|iomem|meminfo)$/.exec(path);
    if (at) return at[1] ?? "";
  }
  return "";
}

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
