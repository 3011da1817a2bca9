// Brings what a swap slot holds into memory, through the swap cache, so that all who want it get the same page. Kernel
// counterpart: read_swap_cache_async() in mm/swap_state.c. Not modelled: reading ahead.
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
 * The page of a slot, with a reference; whoever wants its bytes locks it, and looks whether it is in the swap cache still.
 *
 * @param source whoever reads; the page is charged to whoever pays for the slot
 * @returns NULL_PAGE when there is no memory for it, or when nobody uses the slot any more
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
  // Ends: a slot that is in the cache by now is found there by the next turn, and one that was freed ends it.
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
    // Somebody may have read it meanwhile, or freed the slot.
    if (swap.isInUse(device, slot) && swap.cache.lookup(device, slot) === NULL_PAGE) {
      enter(swap, page, device, slot);
      yield* swapReadpage(swap, page);
      return page;
    }
    memmap.putPage(page);
  }
}

/** A new page takes its place in the cache and on a list, locked, before its bytes are there. */
function enter(swap: SwapSpace, page: Page, device: number, slot: number): void {
  const { vm } = swap;
  const { memmap, lru } = vm;
  bugOn(!trylockPage(memmap, page), `page ${page} is locked although nobody knows it`);
  memmap.set(page, PageFlag.swapbacked);
  const shadow = swap.cache.shadow(device, slot);
  swap.device(device).setHasCache(slot);
  swap.cache.add(page, swapEntry(device, slot));
  if (shadow !== 0) workingsetRefault(vm, page, shadow);
  lru.add(page);
}
