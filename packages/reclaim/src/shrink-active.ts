// Deactivation: moves pages from an active list to the inactive one, where another access activates them again. Only
// pages of code that was run recently stay active.
// Kernel counterpart: shrink_active_list() in mm/vmscan.c.
import { condResched, type Page, type Sleeps } from "@hetmem/kernel";
import { countLruvecEvent, VmFlag } from "@hetmem/mm";
import { isFileList, type LruList, type Lruvec } from "@hetmem/mm/lru";
import { PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import { isolateLruPages } from "./isolate-lru.ts";
import { pageReferenced } from "./page-referenced.ts";
import type { ScanControl } from "./scan-control.ts";

/**
 * Deactivates pages of a list.
 *
 * @param nrToScan pages of 4 KiB to scan
 * @see shrink_active_list()
 */
export function* shrinkActiveList(
  scan: ScanControl,
  lruvec: Lruvec,
  list: LruList,
  nrToScan: number,
): Sleeps<void> {
  const { memmap, lru, memory, charging } = scan.vm;
  const { pages, scanned } = isolateLruPages(scan, lruvec, list, nrToScan);
  if (!scan.forCgroup) memory.allocator.countEvent(VmEvent.pgrefill, scanned);
  charging.counts?.lruvecEvent(lruvec, VmEvent.pgrefill, scanned);
  let deactivated = 0;
  for (const page of pages) {
    if (!(yield* staysActive(scan, page, list))) {
      memmap.clear(page, PageFlag.active);
      memmap.set(page, PageFlag.workingset);
      deactivated += 1 << memmap.compoundOrder(page);
    }
    lru.putback(page);
  }
  countLruvecEvent(scan.vm, lruvec, VmEvent.pgdeactivate, deactivated);
  yield condResched;
}

/**
 * Whether a page goes back to its list: code that was run since the last scan, or an mlocked page, which goes to the
 * unevictable list.
 */
function* staysActive({ vm }: ScanControl, page: Page, list: LruList): Sleeps<boolean> {
  if (vm.memmap.test(page, PageFlag.mlocked)) return true;
  const { referenced, vmFlags } = yield* pageReferenced(vm, page);
  return referenced !== 0 && (vmFlags & VmFlag.EXEC) !== 0 && isFileList(list);
}
