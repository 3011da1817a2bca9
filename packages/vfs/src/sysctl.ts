// Files of /proc/sys: parsers for the numbers that are written, and attributes that show and set a variable. A
// refused write changes nothing. Kernel counterpart: kernel/sysctl.c.
import { KernelError, kstrtou64 } from "@hetmem/kernel";
import type { Attribute } from "./attribute.ts";

/** An attribute for a variable from `least` to `most`. A write outside is EINVAL. @see proc_dointvec_minmax() */
export function intSysctl<Name extends string>(
  variables: Record<Name, number>,
  name: Name,
  least: number,
  most: number,
): Attribute {
  return {
    show: () => `${variables[name]}\n`,
    store(_params, text) {
      variables[name] = sysctlBetween(text, least, most);
    },
  };
}

/**
 * An attribute from `least` to `most` over a boolean: the model keeps only whether the number is zero.
 *
 * @see proc_dointvec_minmax()
 */
export function switchSysctl<Name extends string>(
  variables: Record<Name, boolean>,
  name: Name,
  most: number,
  least = 0,
): Attribute {
  return {
    show: () => `${Number(variables[name])}\n`,
    store(_params, text) {
      variables[name] = sysctlBetween(text, least, most) !== 0;
    },
  };
}

/**
 * An attribute for an unsigned 64-bit variable.
 *
 * @param written called after each write that was accepted
 * @see proc_doulongvec_minmax()
 */
export function ulongSysctl<Name extends string>(
  variables: Record<Name, bigint>,
  name: Name,
  written?: () => void,
): Attribute {
  return {
    show: () => `${variables[name]}\n`,
    store(_params, text) {
      variables[name] = parseUnsignedSysctl(text);
      written?.();
    },
  };
}

/**
 * The first number of a text.
 *
 * @throws KernelError EINVAL for a text without a number, or one below `least` or above `most`
 */
export function sysctlBetween(text: string, least: number, most: number): number {
  const value = parseSysctl(text);
  if (value >= least && value <= most) return value;
  throw new KernelError("EINVAL", `${value} is out of bounds: write ${least} to ${most}`);
}

/**
 * The first number of a text as sysctl reads it: decimal, 0x or octal, with white space around it. The text behind
 * the white space is ignored.
 *
 * @throws KernelError EINVAL when there is no number, when another character follows its digits directly, or when it
 * doesn't fit in 64 bits
 * @see proc_get_long() in kernel/sysctl.c
 */
export function parseSysctl(text: string): number {
  const { negative, magnitude } = firstNumber(text);
  return negative ? -Number(magnitude) : Number(magnitude);
}

/**
 * parseSysctl() for unsigned longs, as a bigint.
 *
 * @throws KernelError EINVAL as there, and for a minus sign
 * @see proc_doulongvec_minmax()
 */
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

/** kstrtou64() with EINVAL in place of ERANGE for a number that doesn't fit in 64 bits. @see strtoul_lenient() */
function bounded(digits: string): bigint {
  try {
    return kstrtou64(digits);
  } catch (error) {
    if (error instanceof KernelError) throw new KernelError("EINVAL", error.reason);
    throw error;
  }
}
