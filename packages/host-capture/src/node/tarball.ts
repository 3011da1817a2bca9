// A tarball of a captured /proc and /sys, unpacked in memory. Archives written as `tar -C / proc sys`, with or without "./" or a
// folder around them, are read alike. An archive larger than any host's /proc and /sys is refused before it is unpacked.
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { KernelError, MiB, writeSize } from "@hetmem/kernel";
import { Parser } from "tar";
import { readOutsideFile } from "./outside-file.ts";
import { filesTree, type HostTree } from "../tree.ts";

/** Bytes of the file, and of its contents unpacked: 100,000 files of one tar block each have 100 MiB. */
const PACKED_BYTES_MAX = 128 * MiB;
const UNPACKED_BYTES_MAX = 128 * MiB;
const ENTRIES_MAX = 100_000;
/** @see PATH_MAX in include/uapi/linux/limits.h */
const PATH_LENGTH_MAX = 4096;

/**
 * Reads a .tar or .tar.gz.
 *
 * @throws KernelError EINVAL when it is cut short or is no archive at all, EFBIG when it holds more than a capture does
 */
export function openTarball(file: string): HostTree {
  const entries = unpack(file);
  const root = rootOf(entries.keys());
  const files = new Map<string, Uint8Array | undefined>();
  for (const [path, bytes] of entries)
    if (path.startsWith(root)) files.set(`/${path.slice(root.length)}`, bytes);
  return filesTree(basename(file), files);
}

/** Every entry by its path without "./"; directories, links and devices have no bytes. */
function unpack(file: string): Map<string, Uint8Array | undefined> {
  const packed = readOutsideFile({ file, bytesMax: PACKED_BYTES_MAX, fix: captureFix(file) });
  const entries = new Map<string, Uint8Array | undefined>();
  let count = 0;
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      if (++count > ENTRIES_MAX) throw tooMuch(file, `more than ${ENTRIES_MAX} files`);
      if (entry.path.length > PATH_LENGTH_MAX) throw tooMuch(file, "a path longer than any system's");
      const path = entry.path.replace(/^(\.?\/)+/, "").replace(/\/$/, "");
      const chunks: Buffer[] = [];
      const isFile = entry.type === "File" || entry.type === "OldFile";
      entry.on("data", (chunk) => chunks.push(chunk));
      entry.on("end", () => entries.set(path, isFile ? Buffer.concat(chunks) : undefined));
    },
  });
  nameArchive(file, () => parser.end(unfold(file, packed)));
  return entries;
}

function unfold(file: string, packed: Buffer): Buffer {
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) return packed;
  try {
    return gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES_MAX });
  } catch (error) {
    if (error instanceof RangeError)
      throw tooMuch(file, `more than ${writeSize(UNPACKED_BYTES_MAX)} when it is unpacked`);
    throw error;
  }
}

function nameArchive(file: string, read: () => void): void {
  try {
    read();
  } catch (error) {
    if (error instanceof KernelError || !(error instanceof Error)) throw error;
    const what = /unexpected end|truncated/i.test(error.message) ? "is cut short" : "is not a tar archive";
    throw new KernelError("EINVAL", `${file} ${what}: ${captureFix(file)}`);
  }
}

function tooMuch(file: string, what: string): KernelError {
  return new KernelError("EFBIG", `${file} holds ${what}, which no capture does: ${captureFix(file)}`);
}

function captureFix(file: string): string {
  return `pack it again with tar -czf ${basename(file)} -C FOLDER proc sys`;
}

/** The part of the archive's paths before "proc/". */
function rootOf(paths: Iterable<string>): string {
  for (const path of paths) {
    const at = /^((?:.*\/)?)proc\/(?:zoneinfo|iomem|meminfo)$/.exec(path);
    if (at) return at[1] ?? "";
  }
  return "";
}
