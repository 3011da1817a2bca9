// Limits as the files have them: bytes with K, M or G behind them, or a word for none; pages inside. Kernel counterparts:
// page_counter_memparse() in mm/page_counter.c, seq_puts_memcg_tunable() in mm/memcontrol.c.
import { formatU64, KernelError, memparseU64, PAGE_SIZE } from "@hetmem/kernel";
import { PAGE_COUNTER_MAX } from "../page-counter.ts";

/**
 * Reads bytes, and gives the whole pages in them.
 *
 * @param unlimited the word for no limit: "max", or "-1" in the older files
 * @throws KernelError EINVAL for what is neither
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

/** Pages as bytes: `max` where there is no limit. */
export function counterLine(pages: number): string {
  return pages === PAGE_COUNTER_MAX ? "max\n" : byteLine(pages);
}

/** The same without a word for no limit, as the older files have it: 9223372036854771712. */
export function byteLine(pages: number): string {
  // A product with a power of two is exact, however large.
  return `${formatU64(pages * PAGE_SIZE)}\n`;
}
