// Moves pages from an active list to the inactive one, where they have to be used again to come back. Only pages of
// programs that run are spared. Kernel counterpart: shrink_active_list() in mm/vmscan.c.
import { condResched, type Page, type Sleeps } from "@hetmem/kernel";
import { countLruvecEvent, VmFlag } from "@hetmem/mm";
import { isFileList, type LruList, type Lruvec } from "@hetmem/mm/lru";
import { PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import { isolateLruPages } from "./isolate-lru.ts";
import { pageReferenced } from "./page-referenced.ts";
import type { ScanControl } from "./scan-control.ts";

/** @param nrToScan small pages to look at @see shrink_active_list() */
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

/** Code that was run since the last look gets another turn; so do pages that a process has locked, on their own list. */
function* staysActive({ vm }: ScanControl, page: Page, list: LruList): Sleeps<boolean> {
  if (vm.memmap.test(page, PageFlag.mlocked)) return true;
  const { referenced, vmFlags } = yield* pageReferenced(vm, page);
  return referenced !== 0 && (vmFlags & VmFlag.EXEC) !== 0 && isFileList(list);
}
