// The dirty state of pages of files, with its counters. A dirty page becomes clean and under writeback, then clean.
// Its entries are write-protected before writeback, so a later store faults and makes the page dirty again. Kernel
// counterparts: folio_mark_dirty() and the functions next to it in mm/page-writeback.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { XaMark } from "@hetmem/kernel/lib";
import { PageFlag } from "@hetmem/page";
import { NodeStat, ZoneStat } from "@hetmem/zone";
import { addNodeStat } from "../node-stat.ts";
import { pageMkclean } from "../rmap/page-mkclean.ts";
import type { Vm } from "../vm.ts";

/**
 * Marks a page dirty after a write through an entry or by write(2). The page may be a part of a compound page.
 *
 * @returns whether the page was clean before
 * @see folio_mark_dirty()
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
 * Marks a locked page clean just before it is written. Its mappings are write-protected first, so that a later store
 * faults and marks the page dirty again.
 *
 * @returns whether it was dirty
 * @see folio_clear_dirty_for_io()
 */
export function* clearPageDirtyForIo(vm: Vm, page: Page): Sleeps<boolean> {
  const { memmap } = vm;
  const mapping = vm.mappings.of(memmap, page);
  if (mapping?.canWriteback && (yield* pageMkclean(vm, page)) > 0) setPageDirty(vm, page);
  return cancelDirty(vm, page);
}

/**
 * Marks a page clean without writing it, because it is being removed.
 *
 * @returns whether it was dirty
 * @see folio_cancel_dirty()
 */
export function cancelDirty(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  if (!memmap.test(page, PageFlag.dirty)) return false;
  memmap.clear(page, PageFlag.dirty);
  if (!vm.mappings.of(memmap, page)?.canWriteback) return true;
  addNodeStat(vm, page, NodeStat.nr_dirty, -1);
  addWritePending(vm, page, -1);
  return true;
}

/** Marks a clean, locked page as under writeback. @see folio_start_writeback() */
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

/** Ends the writeback of a page, after success or failure. @see folio_end_writeback() */
export function endWriteback(vm: Vm, page: Page): void {
  const { memmap } = vm;
  memmap.clear(page, PageFlag.writeback);
  addNodeStat(vm, page, NodeStat.nr_writeback, -1);
  addNodeStat(vm, page, NodeStat.nr_written, 1);
  addWritePending(vm, page, -1);
  const mapping = vm.mappings.of(memmap, page);
  if (mapping?.canWriteback) mapping.pages.clearMark(memmap.index(page), XaMark.writeback);
  if (!memmap.test(page, PageFlag.reclaim)) return;
  // Reclaim started the writeback, so the page moves to the tail of its list, where reclaim looks next.
  memmap.clear(page, PageFlag.reclaim);
  vm.lru.rotateReclaimable(page);
}

/** Sleeps until a page is no longer under writeback. @see folio_wait_writeback() */
export function* waitOnWriteback({ memmap }: Vm, page: Page): Sleeps<void> {
  if (!memmap.test(page, PageFlag.writeback)) return;
  yield { why: "page writeback", ready: () => !memmap.test(page, PageFlag.writeback) };
}

/** Adds to the zone's count of dirty pages and pages under writeback. */
function addWritePending({ memory: { allocator } }: Vm, page: Page, by: number): void {
  const { stat } = allocator.zoneOf(page);
  stat[ZoneStat.nr_zone_write_pending] = (stat[ZoneStat.nr_zone_write_pending] as number) + by;
}
