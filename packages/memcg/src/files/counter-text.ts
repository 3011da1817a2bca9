// Limits as the files have them: bytes with K, M or G behind them, or a word for none; pages inside. Kernel counterparts:
// page_counter_memparse() in mm/page_counter.c, memparse() in lib/cmdline.c, seq_puts_memcg_tunable() in mm/memcontrol.c.
import { KernelError, PAGE_SIZE } from "@hetmem/kernel";
import { PAGE_COUNTER_MAX } from "../page-counter.ts";

const SUFFIXES = "kmgtpe";

/**
 * Reads bytes, and gives the whole pages in them.
 *
 * @param unlimited the word for no limit: "max", or "-1" in the older files
 * @throws KernelError EINVAL for what is neither
 */
export function parseCounter(text: string, unlimited: string): number {
  const stripped = text.trim();
  if (stripped === unlimited) return PAGE_COUNTER_MAX;
  // Nothing at all is zero, and a suffix alone too: strtoull() finds no digits and memparse() doesn't mind.
  const [, digits, suffix = ""] = /^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*|)([kmgtpe]?)$/i.exec(stripped) ?? [];
  if (digits === undefined)
    throw new KernelError(
      "EINVAL",
      `"${stripped}" is not a size: write bytes, K, M or G behind them, or ${unlimited || "nothing"}`,
    );
  const power = SUFFIXES.indexOf(suffix.toLowerCase() || " ") + 1;
  const bytes = BigInt.asUintN(64, numberOf(digits) << BigInt(10 * power));
  return Math.min(Number(bytes / BigInt(PAGE_SIZE)), PAGE_COUNTER_MAX);
}

/** Pages as bytes: `max` where there is no limit. */
export function counterLine(pages: number): string {
  return pages === PAGE_COUNTER_MAX ? "max\n" : `${pages * PAGE_SIZE}\n`;
}

/** The same without a word for no limit, as the older files have it: 9223372036854771712. */
export function byteLine(pages: number): string {
  return `${BigInt(pages) * BigInt(PAGE_SIZE)}\n`;
}

/** What strtoull() makes of digits in any base: all ones where they don't fit. */
function numberOf(digits: string): bigint {
  if (digits === "") return 0n;
  const value = BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return BigInt.asUintN(64, value);
}
