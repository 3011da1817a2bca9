// Reclaim of a batch of isolated pages: frees what can be freed, and puts the rest back. On a node with a slower one
// below it, cold pages are demoted first.
// Kernel counterpart: shrink_folio_list(), move_folios_to_lru() in mm/vmscan.c.
import { condResched, type NodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { splitForMigration } from "@hetmem/migrate";
import { trylockPage, unlockPage } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import type { ReclaimStat, ScanControl } from "./scan-control.ts";
import { shrinkPage } from "./shrink-page.ts";

/**
 * Reclaims isolated pages of one node.
 *
 * @param stat counters of the batch, which are added to
 * @returns pages of 4 KiB freed or demoted
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
    const counter = scan.byKswapd ? "pgdemote_kswapd" : "pgdemote_direct";
    const left = yield* scan.vm.demotion.demotePages(cold, node, counter);
    reclaimed += before - smallPages(scan, left) + (yield* shrinkEach(scan, left, stat, undefined));
  }
  scan.vm.memory.allocator.countEvent(VmEvent.pgactivate, stat.activated);
  return reclaimed;
}

/** Whether cold pages of a node are demoted to a slower one. @see can_demote() */
export function mayDemote({ vm, request }: ScanControl, node: NodeId): boolean {
  return request.mayDemote && vm.demotion.canDemote(node);
}

/** Reclaims each page of a batch. @param cold array that takes the pages to demote; undefined: no demotion */
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

/** Reclaims one page. @returns pages of 4 KiB freed */
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

/** Splits a huge page, and reclaims its parts: swap takes small pages only. */
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

/** Activates a page. If it has a slot in swap, and is mlocked or more than half of swap is in use, the slot is freed. */
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
