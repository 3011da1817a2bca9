// Numbers as the files of /proc/sys take them. Kernel counterpart: proc_get_long() in kernel/sysctl.c.
import { KernelError, kstrtou64 } from "@hetmem/kernel";

/**
 * The first number of a text as sysctl reads it: in any base, with white space around it; what follows that is not looked at.
 *
 * @throws KernelError EINVAL when there is none, or something sticks to it, or it doesn't fit in 64 bits
 * @see proc_get_long() in kernel/sysctl.c
 */
export function parseSysctl(text: string): number {
  const { negative, magnitude } = firstNumber(text);
  return negative ? -Number(magnitude) : Number(magnitude);
}

/** The same for files of unsigned longs, exactly. @throws KernelError EINVAL for a minus sign, too @see proc_doulongvec_minmax() */
export function parseUnsignedSysctl(text: string): bigint {
  const { negative, magnitude } = firstNumber(text);
  if (negative) throw new KernelError("EINVAL", `${text.trim()} is below zero: write 0 or more`);
  return magnitude;
}

function firstNumber(text: string): { readonly negative: boolean; readonly magnitude: bigint } {
  const [, sign, digits] = /^[ \t\n]*(-?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)(?=[ \t\n]|$)/i.exec(text) ?? [];
  if (digits === undefined) throw new KernelError("EINVAL", `"${text.trim()}" is not a number`);
  return { negative: sign === "-", magnitude: bounded(digits) };
}

/** What doesn't fit in 64 bits is EINVAL here. @see strtoul_lenient() */
function bounded(digits: string): bigint {
  try {
    return kstrtou64(digits);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError("EINVAL", error.reason);
    throw error;
  }
}
