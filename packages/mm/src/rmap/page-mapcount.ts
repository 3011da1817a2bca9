// The mapcount of a small page, which may be a part of a compound page. Two counts add up to it: the small entries
// that map the page itself, and the huge entries that map its whole compound page, which huge/huge-counts.ts counts.
// Kernel counterpart: page_mapcount() in include/linux/mm.h.
import type { Page } from "@hetmem/kernel";
import { type MemMap, PageFlag } from "@hetmem/page";
import { compoundMapcount } from "../huge/huge-counts.ts";

/** Number of entries that map a small page, huge entries included. @see page_mapcount() in include/linux/mm.h */
export function pageMapcount(memmap: MemMap, page: Page): number {
  const own = memmap.mapcount(page);
  if (!memmap.test(page, PageFlag.head | PageFlag.tail)) return own;
  return own + compoundMapcount(memmap, memmap.compoundHead(page));
}
