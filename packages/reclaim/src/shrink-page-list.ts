// Frees what can be freed of a batch of isolated pages, and puts the rest back. Where there is slower memory, pages go
// there first. Kernel counterpart: shrink_folio_list(), move_folios_to_lru() in mm/vmscan.c.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { canDemote, demotePages, splitForMigration } from "@hetmem/migrate";
import { trylockPage, unlockPage } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import type { ReclaimStat, ScanControl } from "./scan-control.ts";
import { shrinkPage } from "./shrink-page.ts";

/**
 * Deals with isolated pages of one node.
 *
 * @returns small pages that are free now
 * @see shrink_folio_list()
 */
export function* shrinkPageList(
  scan: ScanControl,
  node: NodeId,
  pages: readonly Page[],
  stat: ReclaimStat,
): Sleeps<number> {
  const cold: Page[] | undefined = mayDemote(scan, node) ? [] : undefined;
  let reclaimed = yield* shrinkEach(scan, pages, stat, cold);
  if (cold !== undefined && cold.length > 0) {
    const before = smallPages(scan, cold);
    const left = yield* demotePages(
      scan.vm,
      cold,
      node,
      scan.byKswapd ? "pgdemote_kswapd" : "pgdemote_direct",
    );
    reclaimed += before - smallPages(scan, left) + (yield* shrinkEach(scan, left, stat, undefined));
  }
  scan.vm.memory.allocator.countEvent(VmEvent.pgactivate, stat.activated);
  return reclaimed;
}

/** Whether cold pages of a node go to a slower one rather than to swap. @see can_demote() */
export function mayDemote({ vm, request }: ScanControl, node: NodeId): boolean {
  return request.mayDemote && canDemote(vm, node);
}

/** @param cold takes the pages that should be demoted; undefined: none */
function* shrinkEach(
  scan: ScanControl,
  pages: readonly Page[],
  stat: ReclaimStat,
  cold: Page[] | undefined,
): Sleeps<number> {
  let reclaimed = 0;
  for (const page of pages) reclaimed += yield* shrinkOne(scan, page, stat, cold);
  yield condResched;
  return reclaimed;
}

function* shrinkOne(
  scan: ScanControl,
  page: Page,
  stat: ReclaimStat,
  cold: Page[] | undefined,
): Sleeps<number> {
  const { memmap, lru } = scan.vm;
  if (!trylockPage(memmap, page)) {
    lru.putback(page);
    return 0;
  }
  const small = 1 << memmap.compoundOrder(page);
  scan.nrScanned += small;
  const fate = yield* shrinkPage(scan, page, stat, cold !== undefined);
  if (fate === "activate") activate(scan, page, stat, small);
  if (fate !== "kept") unlockPage(memmap, page);
  if (fate === "demote") {
    cold?.push(page);
  } else if (fate === "split") {
    return yield* shrinkParts(scan, page, stat, small);
  } else if (fate === "free") {
    lru.forgetIsolated(page);
    memmap.putPage(page);
    return small;
  } else {
    lru.putback(page);
  }
  return 0;
}

/** Swap takes small pages only. Some of them may have nothing to be kept. */
function* shrinkParts(scan: ScanControl, head: Page, stat: ReclaimStat, small: number): Sleeps<number> {
  const { vm } = scan;
  vm.memory.allocator.countEvent(VmEvent.thp_swpout_fallback, 1);
  if (!(yield* splitForMigration(vm, head))) {
    vm.memmap.set(head, PageFlag.active);
    stat.activated += small;
    vm.charging.counts?.pageEvent(head, VmEvent.pgactivate, small);
    vm.lru.putback(head);
    return 0;
  }
  scan.nrScanned -= small;
  const parts = Array.from({ length: small }, (_, i) => (head + i) as Page);
  return yield* shrinkEach(scan, parts, stat, undefined);
}

/** It stays: if it lies in swap as well, that room is better used for another. */
function activate({ vm }: ScanControl, page: Page, stat: ReclaimStat, small: number): void {
  const { memmap, swap } = vm;
  const mlocked = memmap.test(page, PageFlag.mlocked);
  if (memmap.test(page, PageFlag.swapcache) && (swap.full || mlocked)) swap.freeSwap(page);
  if (mlocked) return;
  memmap.set(page, PageFlag.active);
  stat.activated += small;
  vm.charging.counts?.pageEvent(page, VmEvent.pgactivate, small);
}

function smallPages({ vm }: ScanControl, pages: readonly Page[]): number {
  return pages.reduce((sum, page) => sum + (1 << vm.memmap.compoundOrder(page)), 0);
}
