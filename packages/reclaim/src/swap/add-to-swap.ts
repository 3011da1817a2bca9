// The first step of swapping a page out, with whatever swap the machine has: a slot for the page, and its place in the swap
// cache. Kernel counterpart: add_to_swap() in mm/swap_state.c.
import type { Page } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { NO_SWAP_ENTRY } from "@hetmem/page-table";

/**
 * Allocates a slot for a locked page, and adds the page to the swap cache. The page becomes dirty, so that it is written
 * before it is freed.
 *
 * @returns false if no slot is free
 * @see add_to_swap()
 */
export function addToSwap({ memmap, swap }: Vm, page: Page): boolean {
  const entry = swap.allocSlot(page);
  if (entry === NO_SWAP_ENTRY) return false;
  swap.cache.add(page, entry);
  // The dirty bit of its entry may have been cleared without a write, as by MADV_FREE: the slot must get the contents.
  memmap.set(page, PageFlag.dirty);
  return true;
}
