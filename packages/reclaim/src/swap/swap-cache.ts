// The swap cache: pages that are in memory and have a slot on a swap device, because they are being written or read, or
// have not changed since. The slot refers to its page, and page_private() of the page is the swap entry; the page keeps
// its mapping. Kernel counterpart: mm/swap_state.c.
import { bugOn, type Page } from "@hetmem/kernel";
import { addNodeOnlyStat, addNodeStat, moveNodeStat, type Vm } from "@hetmem/mm";
import type { SwappedPages } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { deviceOfEntry, slotOfEntry } from "@hetmem/page-table";
import { NodeStat } from "@hetmem/zone";
import type { SwapSpace } from "./swap-space.ts";

export class SwapCache implements SwappedPages {
  private readonly vm: Vm;
  private readonly swap: SwapSpace;

  constructor(vm: Vm, swap: SwapSpace) {
    this.vm = vm;
    this.swap = swap;
  }

  /** The page in the cache for a slot; NULL_PAGE without one. Takes no reference. @see swap_cache_get_folio() */
  lookup(device: number, slot: number): Page {
    return Math.max(this.swap.device(device).cached(slot), NULL_PAGE) as Page;
  }

  /**
   * The shadow of the page that was last evicted from a slot: a number below 0, or 0 for none.
   *
   * @see get_shadow_from_swap_cache()
   */
  shadow(device: number, slot: number): number {
    return Math.min(this.swap.device(device).cached(slot), 0);
  }

  /**
   * Adds a locked page to the cache, for a slot that is marked as cached. The cache takes a reference.
   *
   * @param entry swap entry of the slot
   * @see add_to_swap_cache()
   */
  add(page: Page, entry: number): void {
    this.enter(page, entry);
    this.count(page, 1);
  }

  /**
   * Removes a locked page from the cache. The slot is freed unless entries name it. The caller holds a reference.
   *
   * @param shadow for a page that is evicted, the value of workingsetEviction(); else 0
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

  /**
   * Replaces a page that is migrated. Both are locked. The cache's reference passes to the new page.
   *
   * @see folio_migrate_mapping()
   */
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

  /** Counts a page in the statistics of its node. Cgroups don't count pages of the swap cache as pages of files. */
  private count(page: Page, by: number): void {
    addNodeOnlyStat(this.vm, page, NodeStat.nr_file_pages, by);
    addNodeStat(this.vm, page, NodeStat.nr_swapcached, by);
  }
}
