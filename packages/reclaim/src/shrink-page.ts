// Reclaim of one isolated page. A page that was accessed is kept; another is written to swap or to its file and freed,
// or demoted; some can't be freed now. Kernel counterpart: shrink_folio_list(), pageout() and __remove_mapping() in
// mm/vmscan.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { addNodeStat, countPageEvent, trylockPage, VmFlag } from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { clearPageDirtyForIo } from "@hetmem/mm/file";
import { workingsetEviction } from "@hetmem/mm/lru";
import { pageAnon, pageMapped, tryToUnmap } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { removeMapping } from "@hetmem/page-cache";
import { Gfp, NodeStat, VmEvent } from "@hetmem/zone";
import { pageReferenced } from "./page-referenced.ts";
import type { ReclaimStat, ScanControl } from "./scan-control.ts";
import { addToSwap } from "./swap/add-to-swap.ts";

/** Result for a page. The page is still locked, except for `kept`. */
export type Fate =
  /** The page's only reference is the one reclaim took when it isolated it. */
  | "free"
  /** The page goes back to its list. */
  | "keep"
  /** The page goes back to its list, and this task doesn't hold its lock any more. */
  | "kept"
  /** The page goes to the active list. */
  | "activate"
  /** The page is to be demoted to a slower node. */
  | "demote"
  /** The page is huge, and its parts are reclaimed one by one. */
  | "split";

/** References of a page that can be freed: that of its isolation, and that of the page cache or the swap cache. */
const FREEABLE_REFERENCES = 2;

/**
 * Tries to free a locked, isolated page.
 *
 * @param demoting whether cold pages are demoted instead of evicted
 * @returns what the caller must do with the page
 * @see shrink_folio_list()
 */
export function* shrinkPage(
  scan: ScanControl,
  page: Page,
  stat: ReclaimStat,
  demoting: boolean,
): Sleeps<Fate> {
  const { memmap } = scan.vm;
  if (memmap.test(page, PageFlag.mlocked)) return "activate";
  const ofFile = !memmap.test(page, PageFlag.swapbacked) && !pageAnon(scan.vm, page);
  if (memmap.test(page, PageFlag.writeback)) {
    // Waiting for writeback would cost more than scanning other pages. The flag makes the end of writeback move the
    // page to the tail of its list.
    memmap.set(page, PageFlag.reclaim);
    return "activate";
  }
  if (ofFile && memmap.test(page, PageFlag.dirty)) stat.unqueuedDirty++;
  const references = yield* checkReferences(scan, page);
  if (references === "activate" || references === "keep") return references;
  if (demoting) return "demote";
  if (memmap.test(page, PageFlag.head)) return "split";
  if (pageAnon(scan.vm, page) && memmap.test(page, PageFlag.swapbacked)) {
    const refused = prepareSwap(scan, page);
    if (refused) return refused;
  }
  if (!(yield* unmap(scan, page))) return "activate";
  // No new pin is possible without an entry. An earlier pin may still write to the page.
  if (pageMaybeDmaPinned(scan.vm, page)) return "activate";
  if (memmap.test(page, PageFlag.dirty) && !isLazyfree(scan, page)) {
    if (references === "reclaimClean") return "keep";
    const written = yield* writeOut(scan, page, stat);
    if (written !== "clean") return written;
  }
  return removeFromCache(scan, page) ? "free" : "keep";
}

/**
 * Whether a page was accessed. The fault that maps a page sets an accessed bit, so that one access only keeps the page
 * on its list, and a second one activates it.
 *
 * @see folio_check_references()
 */
function* checkReferences(
  { vm }: ScanControl,
  page: Page,
): Sleeps<"reclaim" | "reclaimClean" | "keep" | "activate"> {
  const { memmap } = vm;
  const { referenced, vmFlags } = yield* pageReferenced(vm, page);
  const marked = memmap.test(page, PageFlag.referenced);
  const swapbacked = memmap.test(page, PageFlag.swapbacked);
  memmap.clear(page, PageFlag.referenced);
  if ((vmFlags & VmFlag.LOCKED) !== 0) return "activate";
  if (referenced < 0) return "keep";
  if (referenced > 0) {
    memmap.set(page, PageFlag.referenced);
    if (marked || referenced > 1) return "activate";
    return (vmFlags & VmFlag.EXEC) !== 0 && !swapbacked ? "activate" : "keep";
  }
  return marked && !swapbacked ? "reclaimClean" : "reclaim";
}

/** Adds an anonymous page to the swap cache. @returns undefined, or the result if that is impossible */
function prepareSwap({ vm, request }: ScanControl, page: Page): Fate | undefined {
  if (vm.memmap.test(page, PageFlag.swapcache)) return undefined;
  if ((request.gfp & Gfp.IO) === 0 || pageMaybeDmaPinned(vm, page)) return "keep";
  return addToSwap(vm, page) ? undefined : "activate";
}

/** Unmaps a page from all page tables. @returns false if an entry still maps it */
function* unmap({ vm }: ScanControl, page: Page): Sleeps<boolean> {
  const { memmap } = vm;
  if (!pageMapped(vm, page)) return true;
  const swapbacked = memmap.test(page, PageFlag.swapbacked);
  const unmapped = yield* tryToUnmap(vm, page);
  // A page freed lazily (MADV_FREE) was written again: it counts as anonymous from now on.
  if (!swapbacked && memmap.test(page, PageFlag.swapbacked)) vm.lru.isolatedAgainAnon(page);
  return unmapped;
}

/**
 * Writes a dirty page to swap or to its file.
 *
 * @returns "clean" if the page is locked, clean and may be freed; else the result for the page
 * @see pageout()
 */
function* writeOut(scan: ScanControl, page: Page, stat: ReclaimStat): Sleeps<Fate | "clean"> {
  const { vm, request } = scan;
  const { memmap } = vm;
  const inSwapCache = memmap.test(page, PageFlag.swapcache);
  if (!memmap.test(page, PageFlag.swapbacked) && !mayWriteFiles(scan, page)) {
    addNodeStat(vm, page, NodeStat.nr_vmscan_immediate_reclaim, 1);
    memmap.set(page, PageFlag.reclaim);
    return "activate";
  }
  if ((request.gfp & (inSwapCache ? Gfp.IO | Gfp.FS : Gfp.FS)) === 0) return "keep";
  if (memmap.refcount(page) !== FREEABLE_REFERENCES) return "keep";
  const mapping = vm.mappings.of(memmap, page);
  if (!inSwapCache && !mapping) return "keep";
  if (!(yield* clearPageDirtyForIo(vm, page))) return "clean";
  memmap.set(page, PageFlag.reclaim);
  if (inSwapCache) {
    yield* vm.swap.writePage(page);
  } else if (mapping && !(yield* mapping.ops.writepage(mapping, page))) {
    memmap.clear(page, PageFlag.reclaim);
    return "activate";
  }
  addNodeStat(vm, page, NodeStat.nr_vmscan_write, 1);
  stat.pageout++;
  if (memmap.test(page, PageFlag.writeback | PageFlag.dirty) || !trylockPage(memmap, page)) return "kept";
  memmap.clear(page, PageFlag.reclaim);
  return "clean";
}

/**
 * Whether a dirty page of a file may be written: by kswapd alone, at the second scan of the page, and only if the tail
 * of the list has no other pages.
 *
 * @see PGDAT_DIRTY
 */
function mayWriteFiles({ vm, state, byKswapd }: ScanControl, page: Page): boolean {
  const { memmap } = vm;
  return byKswapd && memmap.test(page, PageFlag.reclaim) && state.node(memmap.nodeOf(page)).dirty;
}

/**
 * Removes a page without other references from its cache.
 *
 * @returns false if it has other references or is dirty
 * @see __remove_mapping()
 */
function removeFromCache(scan: ScanControl, page: Page): boolean {
  const { vm } = scan;
  const { memmap } = vm;
  const small = 1 << memmap.compoundOrder(page);
  if (isLazyfree(scan, page)) {
    if (memmap.refcount(page) !== 1) return false;
    countPageEvent(vm, page, VmEvent.pglazyfreed, small);
    return true;
  }
  if (memmap.refcount(page) !== FREEABLE_REFERENCES || memmap.test(page, PageFlag.dirty)) return false;
  if (memmap.test(page, PageFlag.swapcache)) {
    vm.swap.cache.remove(page, evictionShadow(scan, page));
    return true;
  }
  if (!vm.mappings.of(memmap, page)) return false;
  return removeMapping(vm, page, memmap.test(page, PageFlag.swapbacked) ? 0 : evictionShadow(scan, page));
}

function evictionShadow(scan: ScanControl, page: Page): number {
  const evictor = scan.targetLruvec(scan.vm.memmap.nodeOf(page));
  return evictor ? workingsetEviction(scan.vm, page, evictor) : 0;
}

/** Whether a page is anonymous, and its process has marked it with MADV_FREE and not written to it since. */
function isLazyfree({ vm }: ScanControl, page: Page): boolean {
  return !vm.memmap.test(page, PageFlag.swapbacked) && pageAnon(vm, page);
}
