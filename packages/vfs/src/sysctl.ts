// Files of /proc/sys: numbers as a write brings them, and attributes over the variables that they set. A write that is
// refused changes nothing. Kernel counterpart: kernel/sysctl.c.
import { KernelError, kstrtou64 } from "@hetmem/kernel";
import type { Attribute } from "./attribute.ts";

/** A number from `least` to `most`. @see proc_dointvec_minmax() */
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

/** A number of which the model knows only whether it is zero. @see proc_dointvec_minmax() */
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
 * 64 bits without a sign.
 *
 * @param written called after each write
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

/** @throws KernelError EINVAL for a text without a number, or a number out of bounds */
export function sysctlBetween(text: string, least: number, most: number): number {
  const value = parseSysctl(text);
  if (value >= least && value <= most) return value;
  throw new KernelError("EINVAL", `${value} is out of bounds: write ${least} to ${most}`);
}

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
