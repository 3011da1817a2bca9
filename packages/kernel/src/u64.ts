// Unsigned 64-bit numbers in the formats of sysfs and the command line. A JavaScript number is exact up to 2^53 only,
// so parsing gives a bigint, and callers that know the bounds convert it. Kernel counterparts: lib/cmdline.c
// (memparse) and lib/kstrtox.c.
import { KernelError } from "./error.ts";

const SUFFIXES = "kmgtpe";
const PREFIX = /^(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*|)([kmgtpe]?)/i;

/** A number at the beginning of a text, and the rest of the text. */
export interface ParsedU64 {
  readonly value: bigint;
  readonly rest: string;
}

/**
 * Parses bytes as the kernel does: decimal, hexadecimal after 0x or octal after 0, with a suffix K, M, G, T, P or E.
 * A text without digits is 0. A value beyond 64 bits wraps.
 *
 * @see memparse() in lib/cmdline.c
 */
export function memparseU64(text: string): ParsedU64 {
  const [all = "", digits = "", suffix = ""] = PREFIX.exec(text) ?? [];
  const power = SUFFIXES.indexOf(suffix.toLowerCase() || " ") + 1;
  return { value: BigInt.asUintN(64, bigintOf(digits) << BigInt(10 * power)), rest: text.slice(all.length) };
}

/**
 * Parses an unsigned 64-bit number in the format of sysfs files: decimal, hexadecimal after 0x or octal after 0, then
 * at most one newline.
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

/** All decimal digits of a whole number. A template literal gives at most 17 significant ones. @see "%llu" */
export function formatU64(value: number | bigint): string {
  return BigInt(value).toString();
}

function bigintOf(digits: string): bigint {
  if (digits === "") return 0n;
  return BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
}
