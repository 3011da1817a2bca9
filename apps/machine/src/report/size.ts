// Numbers as a person reads them.
import { GiB, KiB, MiB, TiB } from "@hetmem/kernel";

const UNITS = [
  ["TiB", TiB],
  ["GiB", GiB],
  ["MiB", MiB],
  ["KiB", KiB],
] as const;

/** "3.5 GiB": the largest unit of which there is one, with what decimals three digits leave room for. */
export function formatBytes(bytes: number): string {
  for (const [name, unit] of UNITS) {
    // What rounds to 1024 of a unit is one of the next.
    if (Math.abs(bytes) >= unit * 0.9995) return `${threeDigits(bytes / unit)} ${name}`;
  }
  return `${bytes} B`;
}

/** "1.56 %". */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

/** "0x1_4000_0000": hexadecimal in groups of four, which makes the 4 GiB digit stand out. */
export function formatAddress(bytes: number): string {
  const hex = bytes.toString(16).padStart(8, "0");
  return `0x${hex.replace(/\B(?=(.{4})+$)/g, "_")}`;
}

function threeDigits(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
