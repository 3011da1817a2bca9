// Swap-in: reads a slot into a page of the swap cache. Processes that share a slot
// after a fork get the same page.
// Kernel counterpart: read_swap_cache_async() in mm/swap_state.c. Not modelled: swap read-ahead.
import { bugOn, type Page, type Sleeps } from "@hetmem/kernel";
import { trylockPage } from "@hetmem/mm";
import { workingsetRefault } from "@hetmem/mm/lru";
import type { PageSource } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { swapEntry } from "@hetmem/page-table";
import { GFP_HIGHUSER_MOVABLE } from "@hetmem/zone";
import { swapReadpage } from "./swap-io.ts";
import type { SwapSpace } from "./swap-space.ts";

/**
 * Finds the page of a slot, or reads the slot into a new page, and takes a reference. The caller must lock the page and
 * check that it is still in the swap cache.
 *
 * @param device number of the swap device
 * @param slot slot on the device
 * @param source allocator of the page; the cgroup of the slot is charged
 * @returns NULL_PAGE if there is no memory for the page, or the slot is free
 * @see __read_swap_cache_async()
 */
export function* readSwapCache(
  swap: SwapSpace,
  device: number,
  slot: number,
  source: PageSource,
): Sleeps<Page> {
  const { vm } = swap;
  const { memmap } = vm;
  // Ends: the next turn finds a slot that has a page by now, and ends for one that is free.
  for (;;) {
    if (!swap.isInUse(device, slot)) return NULL_PAGE as Page;
    const found = swap.cache.lookup(device, slot);
    if (found !== NULL_PAGE) {
      memmap.getPage(found);
      return found;
    }
    const page = yield* source.alloc();
    if (page === NULL_PAGE) return page;
    if (!(yield* vm.charging.chargeSwapIn(source.mm, page, device, slot, GFP_HIGHUSER_MOVABLE))) {
      memmap.putPage(page);
      return NULL_PAGE as Page;
    }
    // Another task may have read the slot meanwhile, or freed it.
    if (swap.isInUse(device, slot) && swap.cache.lookup(device, slot) === NULL_PAGE) {
      enter(swap, page, device, slot);
      yield* swapReadpage(swap, page);
      return page;
    }
    memmap.putPage(page);
  }
}

/** Adds a new page to the cache and to an LRU list, locked, before it is read. */
function enter(swap: SwapSpace, page: Page, device: number, slot: number): void {
  const { vm } = swap;
  const { memmap, lru } = vm;
  bugOn(!trylockPage(memmap, page), `page ${page} is locked although it was just allocated`);
  memmap.set(page, PageFlag.swapbacked);
  const shadow = swap.cache.shadow(device, slot);
  swap.device(device).setHasCache(slot);
  swap.cache.add(page, swapEntry(device, slot));
  if (shadow !== 0) workingsetRefault(vm, page, shadow);
  lru.add(page);
}
