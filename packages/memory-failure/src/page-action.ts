// What is done with a bad page that nobody maps any more, by what it is: cut off its file, its swap slot and its LRU list,
// or left alone when it is the kernel's. Kernel counterpart: the error_states table and the me_* functions in
// mm/memory-failure.c.
import type { Page } from "@hetmem/kernel";
import { unlockPage, type Vm } from "@hetmem/mm";
import { pageAnon } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { deleteFromPageCache } from "@hetmem/page-cache";

/** How far the damage is contained. @see enum mf_result */
export type MfResult = "Ignored" | "Failed" | "Delayed" | "Recovered";

/** A kind of page, and what is done with it; the page comes locked and goes unlocked. @see struct page_state */
interface PageState {
  readonly mask: number;
  readonly bits: number;
  /** As the log calls it. */
  readonly name: string;
  act(vm: Vm, page: Page, name: string): MfResult;
}

const { dirty, lru, mlocked, reserved, slab, swapbacked, swapcache, unevictable } = PageFlag;
const SWAP_CACHE = swapcache | swapbacked;

/** The first that fits. @see error_states */
const PAGE_STATES: readonly PageState[] = [
  { mask: reserved, bits: reserved, name: "reserved kernel page", act: leaveToKernel },
  { mask: slab, bits: slab, name: "kernel slab page", act: leaveToKernel },
  {
    mask: SWAP_CACHE | dirty,
    bits: SWAP_CACHE | dirty,
    name: "dirty swapcache page",
    act: keepInSwapCache,
  },
  { mask: SWAP_CACHE | dirty, bits: SWAP_CACHE, name: "clean swapcache page", act: dropFromSwapCache },
  { mask: mlocked | dirty, bits: mlocked | dirty, name: "dirty mlocked LRU page", act: dropDirty },
  { mask: mlocked | dirty, bits: mlocked, name: "clean mlocked LRU page", act: dropClean },
  {
    mask: unevictable | dirty,
    bits: unevictable | dirty,
    name: "dirty unevictable LRU page",
    act: dropDirty,
  },
  { mask: unevictable | dirty, bits: unevictable, name: "clean unevictable LRU page", act: dropClean },
  { mask: lru | dirty, bits: lru | dirty, name: "dirty LRU page", act: dropDirty },
  { mask: lru | dirty, bits: lru, name: "clean LRU page", act: dropClean },
];

/**
 * Takes a bad page, locked, referenced and mapped by nobody, out of use.
 *
 * @param flagsBefore what the page was before it was unmapped: that may have changed it
 * @returns how that went
 * @see identify_page_state(), page_action()
 */
export function takeOutOfUse(vm: Vm, page: Page, flagsBefore: number): MfResult {
  const { memmap } = vm;
  const flags = memmap.flags(page);
  const state = stateOf(flags) ?? stateOf(flagsBefore | (flags & dirty));
  const name = state?.name ?? "unknown page";
  const result = state ? state.act(vm, page, name) : giveUp(vm, page);
  actionResult(vm, page, name, result);
  return result;
}

/** @see action_result() */
export function actionResult({ kernel, memmap }: Vm, page: Page, name: string, result: MfResult): void {
  kernel.log.printk(
    3,
    `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: recovery action for ${name}: ${result}`,
  );
}

function stateOf(flags: number): PageState | undefined {
  return PAGE_STATES.find(({ mask, bits }) => (flags & mask) === bits);
}

/** @see me_kernel() */
function leaveToKernel({ memmap }: Vm, page: Page): MfResult {
  unlockPage(memmap, page);
  return "Ignored";
}

/** @see me_unknown() */
function giveUp({ kernel, memmap }: Vm, page: Page): MfResult {
  kernel.log.printk(3, `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: Unknown page state`);
  unlockPage(memmap, page);
  return "Failed";
}

/** What was written is lost: whoever asks the file hears of it. @see me_pagecache_dirty() */
function dropDirty(vm: Vm, page: Page, name: string): MfResult {
  const mapping = vm.mappings.of(vm.memmap, page);
  if (mapping) mapping.writeError = true;
  return dropClean(vm, page, name);
}

/** @see me_pagecache_clean() */
function dropClean(vm: Vm, page: Page, name: string): MfResult {
  const { memmap } = vm;
  deleteFromLru(vm, page);
  const mapping = vm.mappings.of(memmap, page);
  let result: MfResult = "Recovered";
  if (!pageAnon(vm, page)) {
    // Shared memory has no other copy: it keeps the page, so that nobody reads zeros there.
    const kept = mapping !== undefined && !mapping.canWriteback;
    if (mapping === undefined) result = "Failed";
    else if (!kept) deleteFromPageCache(vm, page);
    if (hasExtraReferences(vm, page, name, kept ? 1 : 0)) result = "Failed";
  }
  unlockPage(memmap, page);
  return result;
}

/** Who swaps it in later finds it here, and hears that it is bad. @see me_swapcache_dirty() */
function keepInSwapCache(vm: Vm, page: Page, name: string): MfResult {
  vm.memmap.clear(page, dirty | PageFlag.uptodate);
  const taken = deleteFromLru(vm, page);
  unlockPage(vm.memmap, page);
  if (hasExtraReferences(vm, page, name, taken ? 1 : 0)) return "Failed";
  return taken ? "Delayed" : "Failed";
}

/** The slot has the same, and it is good. @see me_swapcache_clean() */
function dropFromSwapCache(vm: Vm, page: Page, name: string): MfResult {
  vm.swap.cache.remove(page, 0);
  const taken = deleteFromLru(vm, page);
  unlockPage(vm.memmap, page);
  return taken && !hasExtraReferences(vm, page, name, 0) ? "Recovered" : "Failed";
}

/** Off its list and off its cgroup's bill, since it may never be freed. @see delete_from_lru_cache() */
function deleteFromLru({ charging, lru: lists, memmap }: Vm, page: Page): boolean {
  if (!lists.isolate(page)) return false;
  lists.forgetIsolated(page);
  memmap.clear(page, PageFlag.active | unevictable);
  charging.uncharge(page, 1);
  memmap.putPage(page);
  return true;
}

/** @param kept references that stay, besides that of who handles the failure @see has_extra_refcount() */
function hasExtraReferences({ kernel, memmap }: Vm, page: Page, name: string, kept: number): boolean {
  const users = memmap.refcount(page) - 1 - kept;
  if (users <= 0) return false;
  kernel.log.printk(
    3,
    `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: ${name} still referenced by ${users} users`,
  );
  return true;
}
