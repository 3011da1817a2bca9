// The units of memory as branded types: the compiler rejects a page where a frame number is meant. Kernel
// counterparts: include/asm/page_types.h, include/linux/pfn.h, lib/cmdline.c (memparse) and lib/kstrtox.c.
import { KernelError } from "./error.ts";
import { kstrtou64, memparseU64 } from "./u64.ts";

declare const brand: unique symbol;

/** Page frame number: a physical address divided by the page size. May exceed 2^32, never 2^40. */
export type Pfn = number & { readonly [brand]: "pfn" };
/** Physical address in bytes, below 2^52. */
export type PhysAddr = number & { readonly [brand]: "phys" };
/** Virtual address of a process in bytes, below 2^47. */
export type VirtAddr = number & { readonly [brand]: "virt" };
/** `struct page *`: an index into the memmap. */
export type Page = number & { readonly [brand]: "page" };
/** NUMA node number. */
export type NodeId = number & { readonly [brand]: "node" };

/** Bits of an address within its page. */
export const PAGE_SHIFT = 12;
/** Bytes in a page. */
export const PAGE_SIZE = 4096;

/** Node numbers are below this. @see NODES_SHIFT in arch/x86/Kconfig, 10 in distributions */
export const MAX_NUMNODES = 1024;

/** Bytes of a KiB. */
export const KiB = 1024;
/** Bytes of a MiB. */
export const MiB = 1024 * KiB;
/** Bytes of a GiB. */
export const GiB = 1024 * MiB;
/** Bytes of a TiB. */
export const TiB = 1024 * GiB;

/** The least number of 32 bits with a sign. */
export const INT_MIN: number = -(2 ** 31);
/** The greatest number of 32 bits with a sign. */
export const INT_MAX: number = 2 ** 31 - 1;
const UINT_MAX = 2 ** 32 - 1;

/** A number as a page frame number. Nothing is checked. */
export function pfn(value: number): Pfn {
  return value as Pfn;
}
/** A number of bytes as a physical address. Nothing is checked. */
export function physAddr(value: number): PhysAddr {
  return value as PhysAddr;
}
/** A number of bytes as an address of a process. Nothing is checked. */
export function virtAddr(value: number): VirtAddr {
  return value as VirtAddr;
}
/** A number as the number of a NUMA node. Nothing is checked. */
export function nodeId(value: number): NodeId {
  return value as NodeId;
}

/** The frame that holds a physical address. */
export function physToPfn(address: PhysAddr): Pfn {
  return Math.floor(address / PAGE_SIZE) as Pfn;
}
/** The first byte of a frame. */
export function pfnToPhys(frame: Pfn): PhysAddr {
  return (frame * PAGE_SIZE) as PhysAddr;
}

/** Rounds up to a multiple of `unit`, which need not be a power of two. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
/** Rounds down to a multiple of `unit`. */
export function alignDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
/** Whether a value is a multiple of `unit`, which need not be a power of two. */
export function isAligned(value: number, unit: number): boolean {
  return value % unit === 0;
}

/** Converts pages to KiB, the unit of /proc. */
export function pagesToKiB(pages: number): number {
  return pages * (PAGE_SIZE / KiB);
}

/**
 * Parses a size as written by people and on the kernel command line: decimal or hexadecimal, with a suffix K, M, G,
 * T, P or E, optionally B or iB.
 *
 * @returns bytes
 * @throws KernelError EINVAL when the text isn't a size, or the size is above 2^53 - 1 bytes, where numbers aren't
 * exact
 * @see memparse() in lib/cmdline.c
 */
export function memparse(text: string): number {
  const parts = /^(0x[0-9a-f]+|\d+)([kmgtpe]?)(?:i?b)?$/i.exec(text.trim());
  if (!parts) throw new KernelError("EINVAL", `"${text}" is not a size: write a number, then K, M, G or T`);
  const [, digits = "", suffix = ""] = parts;
  const bytes = Number(digits) * Number(memparseU64(`1${suffix}`).value);
  if (bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  throw new KernelError("EINVAL", `"${text}" is too large: no machine has 8 PiB of anything`);
}

/**
 * Parses an unsigned 64-bit number in the format of sysfs files. Above 2^53 the result is the nearest number;
 * kstrtou64() is exact.
 *
 * @throws KernelError EINVAL for anything else, ERANGE at 2^64 and above
 * @see kstrtoull() in lib/kstrtox.c
 */
export function kstrtoull(text: string): number {
  return Number(kstrtou64(text));
}

/**
 * Parses an unsigned 32-bit number in the format of module parameters.
 *
 * @throws KernelError EINVAL for anything else, ERANGE at 2^32 and above
 * @see kstrtouint() in lib/kstrtox.c
 */
export function kstrtouint(text: string): number {
  const value = kstrtoull(text);
  if (value > UINT_MAX) throw new KernelError("ERANGE", `${value} does not fit in 32 bits`);
  return value;
}

/**
 * Parses a signed 32-bit number, followed by at most one newline.
 *
 * @param base 10, or "any" to accept hexadecimal after 0x and octal after 0 as well
 * @returns the number
 *
 * @throws KernelError EINVAL for anything else, ERANGE outside of 32 bits
 * @see kstrtoint() in lib/kstrtox.c
 */
export function kstrtoint(text: string, base: 10 | "any" = 10): number {
  const [, sign, digits = ""] = /^([+-]?)(\w+)\n?$/.exec(text) ?? [];
  const decimal = base === 10 || /^(0|[1-9]\d*)$/.test(digits);
  const hexadecimal = base === "any" && /^0x[0-9a-f]+$/i.test(digits);
  const octal = base === "any" && /^0[0-7]+$/.test(digits);
  if (!hexadecimal && !octal && !(decimal && /^\d+$/.test(digits)))
    throw new KernelError("EINVAL", `"${text.trimEnd()}" is not a number`);
  const magnitude = octal ? Number.parseInt(digits, 8) : Number(digits);
  const value = sign === "-" ? -magnitude : magnitude;
  if (value < INT_MIN || value > INT_MAX)
    throw new KernelError("ERANGE", `${text.trimEnd()} does not fit in 32 bits`);
  return value;
}

/**
 * Parses a boolean in the format of sysfs files: 1, y, t, on or 0, n, f, off. Only the first letter counts, or the
 * first two after `o`.
 *
 * @throws KernelError EINVAL for anything else
 * @see kstrtobool() in lib/kstrtox.c
 */
export function kstrtobool(text: string): boolean {
  if (/^(?:[1yt]|on)/i.test(text)) return true;
  if (/^(?:[0nf]|of)/i.test(text)) return false;
  throw new KernelError("EINVAL", `"${text.trim()}" is neither yes nor no: write 1 or 0`);
}

/** Formats numbers as the kernel prints bitmaps: `0-3,7`. @see bitmap_print_to_pagebuf() in lib/bitmap.c */
export function formatIdList(ids: Iterable<number>): string {
  const sorted = [...new Set(ids)].sort((a, b) => a - b);
  const runs: string[] = [];
  for (let i = 0; i < sorted.length;) {
    const first = sorted[i] ?? 0;
    let last = first;
    while (sorted[++i] === last + 1) last++;
    runs.push(first === last ? `${first}` : `${first}-${last}`);
  }
  return runs.join(",");
}

/** Bound on the numbers of cpus, nodes and memory blocks. */
const IDS_MAX = 1 << 20;

/**
 * Parses `0-3,7`.
 *
 * @throws KernelError EINVAL for other texts, ERANGE for ids of 2^20 and above
 * @see bitmap_parselist()
 */
export function parseIdList(text: string): number[] {
  const ids: number[] = [];
  for (const run of text.trim().split(",").filter(Boolean)) {
    const parts = /^(\d+)(?:-(\d+))?$/.exec(run);
    if (!parts) throw new KernelError("EINVAL", `"${run}" is not a number or a range of numbers`);
    const first = Number(parts[1]);
    const last = Number(parts[2] ?? parts[1]);
    if (last < first)
      throw new KernelError("EINVAL", `"${run}" runs backwards: write the lower number first`);
    if (last >= IDS_MAX || ids.length >= IDS_MAX)
      throw new KernelError(
        "ERANGE",
        `"${run}" is past ${IDS_MAX - 1}, the last number that any machine has`,
      );
    for (let id = first; id <= last; id++) ids.push(id);
  }
  return ids;
}
