// The text of limits in files: bytes with a suffix K, M or G, or a word for no limit. Counters are in pages. Kernel
// counterparts: page_counter_memparse() in mm/page_counter.c, seq_puts_memcg_tunable() in mm/memcontrol.c.
import { formatU64, KernelError, memparseU64, PAGE_SIZE } from "@hetmem/kernel";
import { PAGE_COUNTER_MAX } from "../page-counter.ts";

/**
 * Parses bytes into whole pages, rounded down.
 *
 * @param unlimited the word for no limit: "max", or "-1" in the legacy files
 * @returns pages; PAGE_COUNTER_MAX for no limit
 * @throws KernelError EINVAL for other texts
 */
export function parseCounter(text: string, unlimited: string): number {
  const stripped = text.trim();
  if (stripped === unlimited) return PAGE_COUNTER_MAX;
  const { value, rest } = memparseU64(stripped);
  if (rest !== "")
    throw new KernelError(
      "EINVAL",
      `"${stripped}" is not a size: write bytes, K, M or G behind them, or ${unlimited || "nothing"}`,
    );
  return Math.min(Number(value / BigInt(PAGE_SIZE)), PAGE_COUNTER_MAX);
}

/** Formats pages as bytes, or `max` for no limit. */
export function counterLine(pages: number): string {
  return pages === PAGE_COUNTER_MAX ? "max\n" : byteLine(pages);
}

/** Formats pages as bytes; no limit is 9223372036854771712, as in the legacy files. */
export function byteLine(pages: number): string {
  // Exact: a multiplication by a power of two keeps all digits.
  return `${formatU64(pages * PAGE_SIZE)}\n`;
}
