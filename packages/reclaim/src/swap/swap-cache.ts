// Pages that are in memory and on a swap device at once: on their way out, on their way in, or both because nobody has
// changed them since. The device's slots know their page; the page knows its slot in `private`, and keeps its mapping.
// Kernel counterpart: mm/swap_state.c.
import { bugOn, type Page } from "@hetmem/kernel";
import { addNodeOnlyStat, addNodeStat, moveNodeStat, type Vm } from "@hetmem/mm";
import type { SwappedPages } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { deviceOfEntry, NO_SWAP_ENTRY, slotOfEntry } from "@hetmem/page-table";
import { NodeStat } from "@hetmem/zone";
import type { SwapSpace } from "./swap-space.ts";

export class SwapCache implements SwappedPages {
  private readonly vm: Vm;
  private readonly swap: SwapSpace;

  constructor(vm: Vm, swap: SwapSpace) {
    this.vm = vm;
    this.swap = swap;
  }

  /** The page that holds what a slot holds, NULL_PAGE when there is none. Takes no reference. @see swap_cache_get_folio() */
  lookup(device: number, slot: number): Page {
    return Math.max(this.swap.device(device).cached(slot), NULL_PAGE) as Page;
  }

  /** What was left when the page of a slot was evicted: a number below zero, or 0. @see get_shadow_from_swap_cache() */
  shadow(device: number, slot: number): number {
    return Math.min(this.swap.device(device).cached(slot), 0);
  }

  /**
   * Finds a locked page a slot and enters it into the cache; it must be written out before it may go.
   *
   * @returns false when no slot is to be had: the page stays where it is
   * @see add_to_swap()
   */
  addToSwap(page: Page): boolean {
    const entry = this.swap.allocSlot(page);
    if (entry === NO_SWAP_ENTRY) return false;
    this.add(page, entry);
    // Its entry's dirty bit may have been cleared without a write, as by MADV_FREE: what is in swap must be this.
    this.vm.memmap.set(page, PageFlag.dirty);
    return true;
  }

  /** Enters a locked page for a slot that is marked as having one. The cache holds a reference. @see add_to_swap_cache() */
  add(page: Page, entry: number): void {
    this.enter(page, entry);
    this.count(page, 1);
  }

  /**
   * A locked page leaves the cache, and its slot is free unless entries name it. The caller holds a reference.
   *
   * @param shadow of a page that is evicted, what workingsetEviction() says; 0 otherwise
   * @see delete_from_swap_cache(), __delete_from_swap_cache()
   */
  remove(page: Page, shadow: number): void {
    const entry = this.forget(page, shadow);
    this.count(page, -1);
    const device = this.swap.device(deviceOfEntry(entry));
    this.vm.memmap.putPage(page);
    device.clearHasCache(slotOfEntry(entry));
    this.swap.release(device, slotOfEntry(entry));
  }

  /** Another page takes the place of one that is being migrated. Both are locked; the cache's reference goes along. @see folio_migrate_mapping() */
  replace(old: Page, fresh: Page): void {
    const { memmap } = this.vm;
    this.enter(fresh, this.forget(old, 0));
    addNodeOnlyStat(this.vm, old, NodeStat.nr_file_pages, -1);
    addNodeOnlyStat(this.vm, fresh, NodeStat.nr_file_pages, 1);
    moveNodeStat(this.vm, old, fresh, NodeStat.nr_swapcached);
    memmap.putPage(old);
  }

  private enter(page: Page, entry: number): void {
    const { memmap } = this.vm;
    bugOn(!memmap.test(page, PageFlag.locked), `page ${page} enters the swap cache without its lock`);
    bugOn(memmap.test(page, PageFlag.swapcache), `page ${page} is in the swap cache already`);
    memmap.getPage(page);
    memmap.set(page, PageFlag.swapcache);
    memmap.setPrivate(page, entry);
    this.swap.device(deviceOfEntry(entry)).setCached(slotOfEntry(entry), page);
  }

  private forget(page: Page, shadow: number): number {
    const { memmap } = this.vm;
    bugOn(!memmap.test(page, PageFlag.swapcache), `page ${page} is not in the swap cache`);
    bugOn(memmap.test(page, PageFlag.writeback), `page ${page} leaves the swap cache while it is written`);
    const entry = memmap.private(page);
    this.swap.device(deviceOfEntry(entry)).setCached(slotOfEntry(entry), shadow);
    memmap.setPrivate(page, 0);
    memmap.clear(page, PageFlag.swapcache);
    return entry;
  }

  /** To a cgroup these aren't pages of files. */
  private count(page: Page, by: number): void {
    addNodeOnlyStat(this.vm, page, NodeStat.nr_file_pages, by);
    addNodeStat(this.vm, page, NodeStat.nr_swapcached, by);
  }
}
