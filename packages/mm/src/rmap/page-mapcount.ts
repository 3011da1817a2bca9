// The mapcount of a small page: entries that map it alone, and huge entries that map its compound page.
import type { Page } from "@hetmem/kernel";
import { type MemMap, PageFlag } from "@hetmem/page";
import { compoundMapcount } from "../huge/huge-counts.ts";

/** @see page_mapcount() in include/linux/mm.h */
export function pageMapcount(memmap: MemMap, page: Page): number {
  const own = memmap.mapcount(page);
  if (!memmap.test(page, PageFlag.head | PageFlag.tail)) return own;
  return own + compoundMapcount(memmap, memmap.compoundHead(page));
}
