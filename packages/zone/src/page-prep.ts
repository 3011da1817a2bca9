// Prepares allocated pages: sets references and builds compound pages. Checks freed pages: they must have no
// references, no flags of pages in use, and a compound page must be freed whole. Kernel counterparts:
// prep_new_page(), free_pages_prepare() and bad_page() in mm/page_alloc.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";

/** Flags that a freed page must not have. @see PAGE_FLAGS_CHECK_AT_FREE in include/linux/page-flags.h */
const PAGE_FLAGS_CHECK_AT_FREE: number =
  PageFlag.lru |
  PageFlag.locked |
  PageFlag.private |
  PageFlag.writeback |
  PageFlag.reserved |
  PageFlag.slab |
  PageFlag.active |
  PageFlag.unevictable |
  PageFlag.mlocked |
  PageFlag.buddy |
  PageFlag.isolated;
/** Flags cleared when a page is freed: all but HWPoison. @see PAGE_FLAGS_CHECK_AT_PREP in include/linux/page-flags.h */
export const PAGE_FLAGS_CHECK_AT_PREP: number = 0x07ff_ffff & ~PageFlag.hwpoison;
/** Flags of the pages of a compound page, which is freed only as a whole. */
const COMPOUND_FLAGS: number = PageFlag.head | PageFlag.tail;
/** Flags of pages that only the slow path of a free handles. */
export const SLOW_FREE_FLAGS: number = PAGE_FLAGS_CHECK_AT_FREE | COMPOUND_FLAGS | PageFlag.hwpoison;

/**
 * Sets the reference of an allocated block on its first page, and links tails to head when it is compound.
 *
 * @see prep_compound_page()
 */
export function prepareBlock(memmap: MemMap, head: Page, order: number, compound: boolean): void {
  memmap.setPageRefcounted(head);
  for (let i = 1; i < 1 << order; i++) {
    const page = (head + i) as Page;
    memmap.setPageRefcounted(page);
    memmap.setRefcount(page, 0);
    if (!compound) continue;
    memmap.set(page, PageFlag.tail);
    memmap.setPrivate(page, head);
  }
  if (!compound) return;
  memmap.set(head, PageFlag.head);
  memmap.setPrivate(head, order);
}

/**
 * Checks 2^order freed pages and clears their flags.
 *
 * @returns the flags that the first page had
 * @throws KernelBug when one has flags or mappings of a page in use, or is part of a larger compound page
 */
export function stripPages(memmap: MemMap, head: Page, order: number): number {
  if (order === 0) return stripOne(memmap, head, PAGE_FLAGS_CHECK_AT_FREE | COMPOUND_FLAGS);
  const compound = memmap.test(head, PageFlag.head);
  if (compound && memmap.compoundOrder(head) !== order) badPage(memmap, head);
  const had = stripOne(memmap, head, PAGE_FLAGS_CHECK_AT_FREE | PageFlag.tail);
  for (let i = 1; i < 1 << order; i++) {
    const page = (head + i) as Page;
    if (memmap.compoundHead(page) !== (compound ? head : page)) badPage(memmap, page);
    stripOne(memmap, page, PAGE_FLAGS_CHECK_AT_FREE | PageFlag.head);
  }
  return had;
}

function stripOne(memmap: MemMap, page: Page, bad: number): number {
  const had = memmap.strip(page, bad, PAGE_FLAGS_CHECK_AT_PREP);
  if (had === 0) badPage(memmap, page);
  return had;
}

/** @see bad_page() */
function badPage(memmap: MemMap, page: Page): never {
  const part = memmap.test(page, COMPOUND_FLAGS) ? "a part of a compound page freed" : "bad page freed";
  throw new KernelBug(`${part}: ${describePage(memmap, page)}`);
}
