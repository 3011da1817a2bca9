// Numbers of bytes as text: rounded to three digits, for people; and exact, as in a file or on a command line. Kernel
// counterparts: string_get_size() in lib/string_helpers.c, and memparse() in lib/cmdline.c, which reads the exact form.
import { GiB, isAligned, KiB, MiB, TiB } from "./units.ts";

const UNITS = [
  ["T", TiB],
  ["G", GiB],
  ["M", MiB],
  ["K", KiB],
] as const;

/**
 * "3.5 GiB": three digits at most, in the largest unit of which there is at least one.
 *
 * @see string_get_size() with STRING_UNITS_2, which always has three digits
 */
export function formatBytes(bytes: number): string {
  for (const [letter, unit] of UNITS) {
    // A number that rounds to 1024 of a unit is one of the next.
    if (Math.abs(bytes) >= unit * 0.9995) return `${threeDigits(bytes / unit)} ${letter}iB`;
  }
  return `${bytes} B`;
}

/** "3G", "640K"; hexadecimal where no suffix fits. memparse() reads it back. */
export function writeSize(bytes: number): string {
  for (const [letter, unit] of UNITS) {
    if (bytes >= unit && isAligned(bytes, unit)) return `${bytes / unit}${letter}`;
  }
  return bytes === 0 ? "0" : `0x${bytes.toString(16)}`;
}

function threeDigits(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
