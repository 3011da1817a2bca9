// Numbers as the files of /proc take them. Kernel counterparts: kstrtoint() in lib/kstrtox.c, proc_get_long() in
// kernel/sysctl.c.
import { KernelError } from "@hetmem/kernel";

export const INT_MIN: number = -(2 ** 31);
export const INT_MAX: number = 2 ** 31 - 1;

/**
 * A signed number that is all of the text: decimal, and with `0x` or a leading zero too where `anyBase` is asked for.
 *
 * @throws KernelError EINVAL for anything else, ERANGE outside of 32 bits
 */
export function parseInt32(text: string, base: 10 | "any" = 10): number {
  const pattern = base === 10 ? /^([+-]?)(\d+)$/ : /^([+-]?)(0x[0-9a-f]+|\d+)$/i;
  const [, sign, digits] = pattern.exec(text) ?? [];
  if (digits === undefined) throw new KernelError("EINVAL", `"${text}" is not a number`);
  const magnitude = base === 10 ? Number(digits) : numberOf(digits);
  if (Number.isNaN(magnitude)) throw new KernelError("EINVAL", `"${text}" is not a number`);
  const value = sign === "-" ? -magnitude : magnitude;
  if (value < INT_MIN || value > INT_MAX) throw new KernelError("ERANGE", `${text} does not fit in 32 bits`);
  return value;
}

/**
 * The first number of a text as sysctl reads it: in any base, with white space around it; what follows that is not looked at.
 *
 * @throws KernelError EINVAL when there is none, or something sticks to it
 * @see proc_get_long() in kernel/sysctl.c
 */
export function parseSysctl(text: string): number {
  const [, sign, digits] = /^[ \t\n]*(-?)(0x[0-9a-f]+|\d+)(?=[ \t\n]|$)/i.exec(text) ?? [];
  const magnitude = digits === undefined ? Number.NaN : numberOf(digits);
  if (Number.isNaN(magnitude)) throw new KernelError("EINVAL", `"${text.trim()}" is not a number`);
  return sign === "-" ? -magnitude : magnitude;
}

/** NaN for digits that don't belong to their base. */
function numberOf(digits: string): number {
  if (!/^0\d/.test(digits)) return Number(digits);
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}
