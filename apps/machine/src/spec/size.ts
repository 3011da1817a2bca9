// Sizes and addresses as a person writes them in a spec, so that a complaint can be pasted back.
import { GiB, isAligned, KiB, MiB, TiB } from "@hetmem/kernel";

const UNITS = [
  ["T", TiB],
  ["G", GiB],
  ["M", MiB],
  ["K", KiB],
] as const;

/** "3G", "640K"; hexadecimal where no suffix fits. What memparse() reads. */
export function writeSize(bytes: number): string {
  for (const [suffix, unit] of UNITS) {
    if (bytes >= unit && isAligned(bytes, unit)) return `${bytes / unit}${suffix}`;
  }
  return bytes === 0 ? "0" : `0x${bytes.toString(16)}`;
}
