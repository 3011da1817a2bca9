// Numbers as the files of /proc/sys take them. Kernel counterpart: proc_get_long() in kernel/sysctl.c.
import { KernelError } from "@hetmem/kernel";

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
