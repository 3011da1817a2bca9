// Unsigned 64-bit numbers as files take and print them. A JavaScript number holds them exactly up to 2^53 only, so that a
// text becomes a bigint here and a number where its bounds are known. Kernel counterparts: lib/cmdline.c (memparse) and
// lib/kstrtox.c.
import { KernelError } from "./error.ts";

const SUFFIXES = "kmgtpe";
const PREFIX = /^(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*|)([kmgtpe]?)/i;

/** A number at the beginning of a text, and what stands behind it. */
export interface ParsedU64 {
  readonly value: bigint;
  readonly rest: string;
}

/**
 * Reads bytes as the kernel does: decimal, 0x or octal behind a zero, with K, M, G, T, P or E. No digits are 0, and what
 * doesn't fit in 64 bits wraps.
 *
 * @see memparse() in lib/cmdline.c
 */
export function memparseU64(text: string): ParsedU64 {
  const [all = "", digits = "", suffix = ""] = PREFIX.exec(text) ?? [];
  const power = SUFFIXES.indexOf(suffix.toLowerCase() || " ") + 1;
  return { value: BigInt.asUintN(64, bigintOf(digits) << BigInt(10 * power)), rest: text.slice(all.length) };
}

/**
 * Reads an unsigned 64-bit number as a sysfs file takes it: decimal, 0x or octal behind a zero, one newline behind it.
 *
 * @throws KernelError EINVAL for anything else, ERANGE at 2^64 and above
 * @see kstrtoull() in lib/kstrtox.c
 */
export function kstrtou64(text: string): bigint {
  const digits = text.endsWith("\n") ? text.slice(0, -1) : text;
  const body = digits.startsWith("+") ? digits.slice(1) : digits;
  if (!/^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(body))
    throw new KernelError("EINVAL", `"${digits}" is not an unsigned number`);
  const value = bigintOf(body);
  if (value >= 1n << 64n) throw new KernelError("ERANGE", `"${digits}" does not fit in 64 bits`);
  return value;
}

/** All digits of a whole number: those of a template end at the seventeenth. @see "%llu" */
export function formatU64(value: number | bigint): string {
  return BigInt(value).toString();
}

function bigintOf(digits: string): bigint {
  if (digits === "") return 0n;
  return BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
}
