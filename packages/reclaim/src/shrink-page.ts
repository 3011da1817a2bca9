// What becomes of one page that reclaim has taken off its list: it is spared because it was used, it goes to swap or to
// its file and is freed, or it can't go. Kernel counterpart: shrink_folio_list(), pageout() and __remove_mapping() in
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
import { reclaimState } from "./reclaim-state.ts";
import type { ReclaimStat, ScanControl } from "./scan-control.ts";
import { swapSpace } from "./swap/swap-space.ts";

/** How it ends. The page is locked still, but for `kept`. */
export type Fate =
  /** Nobody has it but reclaim. */
  | "free"
  /** It goes back to the list that it came from. */
  | "keep"
  /** The same, and somebody else may have the lock. */
  | "kept"
  /** It goes to the active list. */
  | "activate"
  /** It should go to a slower node. */
  | "demote"
  /** It is huge, and its parts go one by one. */
  | "split";

/** The references of a page that could be freed: that of reclaim, and that of the page cache or the swap cache. */
const FREEABLE_REFERENCES = 2;

/**
 * Tries to free a locked, isolated page.
 *
 * @param demoting whether cold pages go to a slower node now
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
    // Waiting would cost more than looking elsewhere. When it is written it is the next to be freed.
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
  // Nobody can pin it any more; who did so before may write to it at any time.
  if (pageMaybeDmaPinned(scan.vm, page)) return "activate";
  if (memmap.test(page, PageFlag.dirty) && !isLazyfree(scan, page)) {
    if (references === "reclaimClean") return "keep";
    const written = yield* writeOut(scan, page, stat);
    if (written !== "clean") return written;
  }
  return removeFromCache(scan, page) ? "free" : "keep";
}

/**
 * Whether a page was used. All mapped pages were, by the fault that mapped them: those are given another turn, and only a
 * second use activates them.
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

/** Finds an anonymous page a place in swap. @returns why it can't go, or undefined */
function prepareSwap({ vm, request }: ScanControl, page: Page): Fate | undefined {
  if (vm.memmap.test(page, PageFlag.swapcache)) return undefined;
  if ((request.gfp & Gfp.IO) === 0 || pageMaybeDmaPinned(vm, page)) return "keep";
  return swapSpace(vm).addToSwap(page) ? undefined : "activate";
}

/** Takes it out of all page tables. @returns false when somebody maps it still */
function* unmap({ vm }: ScanControl, page: Page): Sleeps<boolean> {
  const { memmap } = vm;
  if (!pageMapped(vm, page)) return true;
  const swapbacked = memmap.test(page, PageFlag.swapbacked);
  const unmapped = yield* tryToUnmap(vm, page);
  // It was to be freed lazily, and was written to after all.
  if (!swapbacked && memmap.test(page, PageFlag.swapbacked)) vm.lru.isolatedAgainAnon(page);
  return unmapped;
}

/**
 * Writes a dirty page out.
 *
 * @returns "clean" when it is locked, clean and may be freed
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

/** Only kswapd writes pages of files, and only once it meets them for the second time and nothing else. @see PGDAT_DIRTY */
function mayWriteFiles({ vm, byKswapd }: ScanControl, page: Page): boolean {
  const { memmap } = vm;
  return byKswapd && memmap.test(page, PageFlag.reclaim) && reclaimState(vm).node(memmap.nodeOf(page)).dirty;
}

/** Takes a page out of its file or the swap cache, unless it has another user. @see __remove_mapping() */
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

/** An anonymous page that its process wants no more, unless it writes to it. @see MADV_FREE */
function isLazyfree({ vm }: ScanControl, page: Page): boolean {
  return !vm.memmap.test(page, PageFlag.swapbacked) && pageAnon(vm, page);
}
