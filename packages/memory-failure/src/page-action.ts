// The recovery action for a bad page that no process maps any more, by the kind of page. A page of a process or a file
// is removed from its file, the swap cache and its LRU list; a page of the kernel is left alone. Kernel counterpart:
// the error_states table and the me_* functions in mm/memory-failure.c.
import type { Page } from "@hetmem/kernel";
import { unlockPage, type Vm } from "@hetmem/mm";
import { pageAnon } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { deleteFromPageCache } from "@hetmem/page-cache";

/** Result of the recovery. @see enum mf_result */
export type MfResult = "Ignored" | "Failed" | "Delayed" | "Recovered";

/**
 * A kind of page and its recovery action. The action is called with the page locked, and unlocks it.
 *
 * @see struct page_state
 */
interface PageState {
  /** Flags that are compared, and their values. */
  readonly mask: number;
  readonly bits: number;
  /** Name of the kind in the kernel log. */
  readonly name: string;
  act(vm: Vm, page: Page, name: string): MfResult;
}

const { dirty, lru, mlocked, reserved, slab, swapbacked, swapcache, unevictable } = PageFlag;
const SWAP_CACHE = swapcache | swapbacked;

/** Kinds in the order in which they are tried. @see error_states */
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
 * Takes a bad page out of use. The page is locked, referenced, and not mapped.
 *
 * @param flagsBefore flags of the page before it was unmapped, which may have changed them
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

/**
 * Logs the result of a recovery.
 *
 * @param name kind of page, as in the log
 * @see action_result()
 */
export function actionResult({ kernel, memmap }: Vm, page: Page, name: string, result: MfResult): void {
  kernel.log.printk(
    3,
    `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: recovery action for ${name}: ${result}`,
  );
}

function stateOf(flags: number): PageState | undefined {
  return PAGE_STATES.find(({ mask, bits }) => (flags & mask) === bits);
}

/** The recovery action for a page of the kernel. @see me_kernel() */
function leaveToKernel({ memmap }: Vm, page: Page): MfResult {
  unlockPage(memmap, page);
  return "Ignored";
}

/** The recovery action for a page of an unknown kind. @see me_unknown() */
function giveUp({ kernel, memmap }: Vm, page: Page): MfResult {
  kernel.log.printk(3, `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: Unknown page state`);
  unlockPage(memmap, page);
  return "Failed";
}

/**
 * The recovery action for a dirty page of a file. What was written is lost: the next fsync() of the file fails.
 *
 * @see me_pagecache_dirty()
 */
function dropDirty(vm: Vm, page: Page, name: string): MfResult {
  const mapping = vm.mappings.of(vm.memmap, page);
  if (mapping) mapping.writeError = true;
  return dropClean(vm, page, name);
}

/** The recovery action for a clean page of a file, and for an anonymous page. @see me_pagecache_clean() */
function dropClean(vm: Vm, page: Page, name: string): MfResult {
  const { memmap } = vm;
  deleteFromLru(vm, page);
  const mapping = vm.mappings.of(memmap, page);
  let result: MfResult = "Recovered";
  if (!pageAnon(vm, page)) {
    // A page of shmem has no copy, and stays in its file: without the page, reads would return zeros.
    const kept = mapping !== undefined && !mapping.canWriteback;
    if (mapping === undefined) result = "Failed";
    else if (!kept) deleteFromPageCache(vm, page);
    if (hasExtraReferences(vm, page, name, kept ? 1 : 0)) result = "Failed";
  }
  unlockPage(memmap, page);
  return result;
}

/**
 * The recovery action for a dirty page in the swap cache. The page stays there, so that a later swap-in finds the
 * error.
 *
 * @see me_swapcache_dirty()
 */
function keepInSwapCache(vm: Vm, page: Page, name: string): MfResult {
  vm.memmap.clear(page, dirty | PageFlag.uptodate);
  const taken = deleteFromLru(vm, page);
  unlockPage(vm.memmap, page);
  if (hasExtraReferences(vm, page, name, taken ? 1 : 0)) return "Failed";
  return taken ? "Delayed" : "Failed";
}

/**
 * The recovery action for a clean page in the swap cache. The slot has a good copy, and the page is removed.
 *
 * @see me_swapcache_clean()
 */
function dropFromSwapCache(vm: Vm, page: Page, name: string): MfResult {
  vm.swap.cache.remove(page, 0);
  const taken = deleteFromLru(vm, page);
  unlockPage(vm.memmap, page);
  return taken && !hasExtraReferences(vm, page, name, 0) ? "Recovered" : "Failed";
}

/**
 * Takes a page off its LRU list and uncharges it, since it may never be freed.
 *
 * @returns false if the page is on no list
 * @see delete_from_lru_cache()
 */
function deleteFromLru({ charging, lru: lists, memmap }: Vm, page: Page): boolean {
  if (!lists.isolate(page)) return false;
  lists.forgetIsolated(page);
  memmap.clear(page, PageFlag.active | unevictable);
  charging.uncharge(page, 1);
  memmap.putPage(page);
  return true;
}

/**
 * Whether a page has references besides the caller's.
 *
 * @param kept references that are expected to stay, in addition to the caller's
 * @see has_extra_refcount()
 */
function hasExtraReferences({ kernel, memmap }: Vm, page: Page, name: string, kept: number): boolean {
  const users = memmap.refcount(page) - 1 - kept;
  if (users <= 0) return false;
  kernel.log.printk(
    3,
    `Memory failure: 0x${memmap.pageToPfn(page).toString(16)}: ${name} still referenced by ${users} users`,
  );
  return true;
}
