// Pages of files that were written and are not yet where the file is kept: who counts them, and how they become clean.
// A page is dirty, then clean and under writeback, then clean; a store that comes meanwhile makes it dirty again, since
// its entries are write-protected first. Kernel counterpart: folio_mark_dirty() and its kin in mm/page-writeback.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { XaMark } from "@hetmem/kernel/lib";
import { PageFlag } from "@hetmem/page";
import { NodeStat, ZoneStat } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import { pageMkclean } from "../rmap/page-mkclean.ts";
import type { Vm } from "../vm.ts";

/**
 * A page was written: by the cpu through an entry, or by write(2). Any page may be given, also a part of a larger one.
 *
 * @returns whether that is news @see folio_mark_dirty()
 */
export function setPageDirty(vm: Vm, written: Page): boolean {
  const { memmap } = vm;
  const page = memmap.compoundHead(written);
  if (memmap.test(page, PageFlag.dirty)) return false;
  memmap.set(page, PageFlag.dirty);
  const mapping = vm.mappings.of(memmap, page);
  if (!mapping?.canWriteback) return true;
  mapping.pages.setMark(memmap.index(page), XaMark.dirty);
  addNodeStat(vm, page, NodeStat.nr_dirty, 1);
  addNodeStat(vm, page, NodeStat.nr_dirtied, 1);
  addWritePending(vm, page, 1);
  return true;
}

/**
 * Makes a locked page clean just before it is written. Every mapping of it is write-protected first, so that a later
 * write is heard of.
 *
 * @returns whether it was dirty @see folio_clear_dirty_for_io()
 */
export function* clearPageDirtyForIo(vm: Vm, page: Page): Sleeps<boolean> {
  const { memmap } = vm;
  const mapping = vm.mappings.of(memmap, page);
  if (mapping?.canWriteback && (yield* pageMkclean(vm, page)) > 0) setPageDirty(vm, page);
  return cancelDirty(vm, page);
}

/** What was written is wanted no more: the page goes. @returns whether it was dirty @see folio_cancel_dirty() */
export function cancelDirty(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  if (!memmap.test(page, PageFlag.dirty)) return false;
  memmap.clear(page, PageFlag.dirty);
  if (!vm.mappings.of(memmap, page)?.canWriteback) return true;
  addNodeStat(vm, page, NodeStat.nr_dirty, -1);
  addWritePending(vm, page, -1);
  return true;
}

/** A clean page is on its way to the disk. It is locked. @see folio_start_writeback() */
export function startWriteback(vm: Vm, page: Page): void {
  const { memmap } = vm;
  memmap.set(page, PageFlag.writeback);
  addNodeStat(vm, page, NodeStat.nr_writeback, 1);
  addWritePending(vm, page, 1);
  const mapping = vm.mappings.of(memmap, page);
  if (!mapping?.canWriteback) return;
  const index = memmap.index(page);
  mapping.pages.setMark(index, XaMark.writeback);
  if (!memmap.test(page, PageFlag.dirty)) mapping.pages.clearMark(index, XaMark.dirty);
}

/** It has arrived, or is lost. @see folio_end_writeback() */
export function endWriteback(vm: Vm, page: Page): void {
  const { memmap } = vm;
  memmap.clear(page, PageFlag.writeback);
  addNodeStat(vm, page, NodeStat.nr_writeback, -1);
  addNodeStat(vm, page, NodeStat.nr_written, 1);
  addWritePending(vm, page, -1);
  const mapping = vm.mappings.of(memmap, page);
  if (mapping?.canWriteback) mapping.pages.clearMark(memmap.index(page), XaMark.writeback);
  if (!memmap.test(page, PageFlag.reclaim)) return;
  // Reclaim wrote it to be rid of it: it is looked at next.
  memmap.clear(page, PageFlag.reclaim);
  vm.lru.rotateReclaimable(page);
}

/** @see folio_wait_writeback() */
export function* waitOnWriteback({ memmap }: Vm, page: Page): Sleeps<void> {
  if (!memmap.test(page, PageFlag.writeback)) return;
  yield { why: "page writeback", ready: () => !memmap.test(page, PageFlag.writeback) };
}

/** Dirty pages and those under writeback, of the zone. */
function addWritePending({ memory: { allocator } }: Vm, page: Page, by: number): void {
  const { stat } = allocator.zoneOf(page);
  stat[ZoneStat.nr_zone_write_pending] = (stat[ZoneStat.nr_zone_write_pending] as number) + by;
}
