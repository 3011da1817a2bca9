// What is done to pages on their way out of the allocator and back: compound pages are put together, and what comes
// back must have no user, no mark of one, and be whole. Kernel counterparts: prep_new_page(), free_pages_prepare() and
// bad_page() in mm/page_alloc.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { describePage, type MemMap, PageFlag } from "@hetmem/page";

/** Set on pages that must not be freed. @see PAGE_FLAGS_CHECK_AT_FREE */
export const BAD_AT_FREE: number =
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
/** Dropped when a page is freed. */
export const DROPPED_AT_FREE: number = 0x07ff_ffff & ~PageFlag.hwpoison;
/** Pages that are more than themselves: freed with their block or not at all. */
export const PAGES_OF_MANY: number = PageFlag.head | PageFlag.tail;

/** Gives a block its reference: a compound page has it in the head, and its tails know the head. @see prep_compound_page() */
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
 * Takes off 2^order pages what their users left there.
 *
 * @returns the flags that the first page had
 * @throws KernelBug when one of them is still in use, or is a part of something larger
 */
export function stripPages(memmap: MemMap, head: Page, order: number): number {
  if (order === 0) return stripOne(memmap, head, BAD_AT_FREE | PAGES_OF_MANY);
  const compound = memmap.test(head, PageFlag.head);
  if (compound && memmap.compoundOrder(head) !== order) badPage(memmap, head);
  const had = stripOne(memmap, head, BAD_AT_FREE | PageFlag.tail);
  for (let i = 1; i < 1 << order; i++) {
    const page = (head + i) as Page;
    if (memmap.compoundHead(page) !== (compound ? head : page)) badPage(memmap, page);
    stripOne(memmap, page, BAD_AT_FREE | PageFlag.head);
  }
  return had;
}

function stripOne(memmap: MemMap, page: Page, bad: number): number {
  const had = memmap.strip(page, bad, DROPPED_AT_FREE);
  if (had === 0) badPage(memmap, page);
  return had;
}

/** @see bad_page() */
function badPage(memmap: MemMap, page: Page): never {
  const part = memmap.test(page, PAGES_OF_MANY) ? "a part of a compound page freed" : "bad page freed";
  throw new KernelBug(`${part}: ${describePage(memmap, page)}`);
}
