// Port: swap devices and the swap cache. `SwapSpace` of the reclaim package is one; an address space without any keeps its
// anonymous pages in memory. Kernel counterparts: include/linux/swap.h, mm/swap_state.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";

/** Allocates the pages that something is read into. */
export interface PageSource {
  /** The address space that reads; undefined: the kernel reads for itself. */
  readonly mm: MmStruct | undefined;
  /** A page that is charged to nobody yet; NULL_PAGE when there is none. */
  alloc(): Sleeps<Page>;
}

/** Pages that are in memory and on a swap device at once. A locked page carries its slot in `private`. @see mm/swap_state.c */
export interface SwappedPages {
  /** The page that holds the contents of a slot, without a reference; NULL_PAGE when there is none. @see swap_cache_get_folio() */
  lookup(device: number, slot: number): Page;
  /** Enters a locked page for a slot that is marked as cached. @see add_to_swap_cache() */
  add(page: Page, entry: number): void;
  /** @param shadow of a page that is evicted, the answer of workingsetEviction(); 0 otherwise @see delete_from_swap_cache() */
  remove(page: Page, shadow: number): void;
  /** Another locked page takes the place of one that is being migrated. @see folio_migrate_mapping() */
  replace(old: Page, fresh: Page): void;
}

export interface Swap {
  readonly cache: SwappedPages;
  /** Slots of all devices: SwapTotal. @see total_swap_pages */
  readonly totalPages: number;
  /** Unused slots: SwapFree. @see nr_swap_pages */
  readonly freePages: number;
  /** Whether more than half is in use: the slot of a page in memory is better given back then. @see vm_swap_full() */
  readonly full: boolean;
  /** One more entry of a page table names a slot. @see swap_duplicate() */
  duplicate(device: number, slot: number): void;
  /** One entry less names a slot; the last one frees it. @see free_swap_and_cache() */
  free(device: number, slot: number): void;
  /** Entries that name a slot. @see swp_swapcount() */
  count(device: number, slot: number): number;
  /** Takes a slot for a page. @returns its swap entry, NO_SWAP_ENTRY when there is none @see folio_alloc_swap() */
  allocSlot(page: Page): number;
  /** Frees the slot of a locked page if no entry names it. @returns whether the page has left the swap cache @see folio_free_swap() */
  freeSwap(page: Page): boolean;
  /** The same for a page that no entry maps any more, if its lock is free. @see free_swap_cache() */
  freeSwapCache(page: Page): void;
  /** The page of a slot, with a reference; NULL_PAGE without memory, or when the slot is unused by now. @see read_swap_cache_async() */
  readPage(device: number, slot: number, source: PageSource): Sleeps<Page>;
  /** Writes a locked page of the swap cache to its slot, and unlocks it. @see swap_writepage() */
  writePage(page: Page): Sleeps<void>;
}

/** A machine without swap: no page is in it, so that most calls can't come. @see CONFIG_SWAP=n */
export const noSwap: Swap = {
  cache: { lookup: () => NULL_PAGE as Page, add: unreachable, remove: unreachable, replace: unreachable },
  totalPages: 0,
  freePages: 0,
  full: false,
  duplicate: unreachable,
  free: unreachable,
  count: unreachable,
  allocSlot: () => 0,
  freeSwap: () => false,
  freeSwapCache: () => {},
  readPage: unreachable,
  writePage: unreachable,
};

function unreachable(): never {
  throw new KernelBug("an entry names a swap slot, and the machine was made without swap");
}
