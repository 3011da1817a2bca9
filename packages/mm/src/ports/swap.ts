// Port: swap devices and the swap cache, which together hold anonymous pages that were unmapped by reclaim.
// `SwapSpace` of the package reclaim implements it. Without it anonymous pages stay in memory. Kernel counterparts:
// include/linux/swap.h, mm/swap_state.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";

/** Allocates pages for data that is read in. */
export interface PageSource {
  /** The address space that reads; undefined for the kernel. */
  readonly mm: MmStruct | undefined;
  /** Allocates an uncharged page. @returns NULL_PAGE when there is none */
  alloc(): Sleeps<Page>;
}

/**
 * The swap cache: pages that are in memory and on a swap device. A page carries its swap entry in `private`.
 *
 * @see mm/swap_state.c
 */
export interface SwappedPages {
  /** The page of a slot, without a reference; NULL_PAGE when there is none. @see swap_cache_get_folio() */
  lookup(device: number, slot: number): Page;
  /** Adds a locked page for a slot that is marked as cached. @see add_to_swap_cache() */
  add(page: Page, entry: number): void;
  /**
   * Removes a page.
   *
   * @param shadow the answer of workingsetEviction() for an evicted page; 0 otherwise
   * @see delete_from_swap_cache()
   */
  remove(page: Page, shadow: number): void;
  /** Replaces a page by another during its migration. Both are locked. @see folio_migrate_mapping() */
  replace(old: Page, fresh: Page): void;
}

/** A swap device or file, as /proc/swaps lists it. @see struct swap_info_struct */
export interface SwapArea {
  readonly path: string;
  readonly kind: "partition" | "file";
  /** Usable slots: all but the first, which holds the header. */
  readonly pages: number;
  /** Slots in use. */
  readonly used: number;
  /** Areas with a higher priority are filled first. */
  readonly priority: number;
}

export interface Swap {
  readonly cache: SwappedPages;
  /** Devices and files in use, in the order of their numbers. */
  readonly areas: readonly SwapArea[];
  /** Slots of all devices, SwapTotal. @see total_swap_pages */
  readonly totalPages: number;
  /** Free slots, SwapFree. @see nr_swap_pages */
  readonly freePages: number;
  /**
   * Whether more than half of the slots are in use. Slots of pages in memory are then freed at swap-in.
   *
   * @see vm_swap_full()
   */
  readonly full: boolean;
  /** Number of slots of a device, the header's included. Slot numbers are below it. */
  slotsOf(device: number): number;
  /** Adds a swap entry's reference to a slot. @see swap_duplicate() */
  duplicate(device: number, slot: number): void;
  /** Drops a swap entry's reference; the last one frees the slot. @see free_swap_and_cache() */
  free(device: number, slot: number): void;
  /** Number of swap entries that name a slot. @see swp_swapcount() */
  count(device: number, slot: number): number;
  /**
   * Allocates a slot for a page, marked as cached, which cache.add() takes.
   *
   * @returns its swap entry; NO_SWAP_ENTRY when none is free
   * @see folio_alloc_swap()
   */
  allocSlot(page: Page): number;
  /**
   * Frees the slot of a locked page if no entry names it.
   *
   * @returns whether the page has left the swap cache
   * @see folio_free_swap()
   */
  freeSwap(page: Page): boolean;
  /** freeSwap() for an unmapped page, if its lock is free. @see free_swap_cache() */
  freeSwapCache(page: Page): void;
  /**
   * Reads the page of a slot.
   *
   * @returns the page, referenced; NULL_PAGE without memory, or when the slot was freed meanwhile
   * @see read_swap_cache_async()
   */
  readPage(device: number, slot: number, source: PageSource): Sleeps<Page>;
  /** Writes a locked page of the swap cache to its slot, and unlocks it. @see swap_writepage() */
  writePage(page: Page): Sleeps<void>;
}

/** No swap: no entry names a slot. @see CONFIG_SWAP=n */
export const noSwap: Swap = {
  cache: { lookup: () => NULL_PAGE as Page, add: unreachable, remove: unreachable, replace: unreachable },
  areas: [],
  totalPages: 0,
  freePages: 0,
  full: false,
  slotsOf: unreachable,
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
