// Removal of mappings: from the mapping list first, so that no fault finds them; then their entries, their reverse
// mapping and the page tables; the counters last. Kernel counterparts: do_mas_align_munmap() and unmap_region() in
// mm/mmap.c. Unlike in the kernel, the mmap lock is never downgraded: it is held for writing to the end.
import { alignUp, isAligned, KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { TASK_SIZE } from "@hetmem/page-table";
import type { MmStruct } from "../mm-struct.ts";
import { freePgtables } from "../unmap/free-pgtables.ts";
import { zapPageRange } from "../unmap/zap.ts";
import { unlinkFromRmap } from "./adjust.ts";
import { checkMapCount } from "./commit.ts";
import { uncountVma } from "./link.ts";
import { munlockVmaPages } from "./mlock.ts";
import { splitVmaAnyway } from "./split.ts";
import { VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/**
 * Unmaps all mappings in a range. An empty range is no error.
 *
 * @param length bytes; the last page counts whole
 * @throws KernelError EINVAL for an unaligned start, an empty range or one past the end of the address space; ENOMEM
 *   when a mapping would have to be divided and vm.max_map_count is reached; and the errors of a driver's maySplit()
 * @see munmap(2)
 */
export function* munmap(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  try {
    yield* doMunmap(mm, start, length);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/** munmap() without the mmap lock, which the caller holds for writing. @see do_munmap() */
export function* doMunmap(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  const end = (start + alignUp(length, PAGE_SIZE)) as VirtAddr;
  if (!isAligned(start, PAGE_SIZE) || start > TASK_SIZE || length > TASK_SIZE - start || end === start) {
    throw new KernelError(
      "EINVAL",
      `0x${length.toString(16)} bytes at 0x${start.toString(16)} are no range of pages of a process`,
    );
  }
  const first = mm.vmas.findFrom(start);
  if (!first || first.start >= end) return;
  // A hole in the middle leaves two mappings of one.
  if (first.start < start && first.end > end) checkMapCount(mm);
  yield* isolateRange(mm, start, end);
  const vmas = detach(mm, start, end);
  yield* unmapRegion(mm, vmas, start, end);
  for (const vma of vmas) {
    uncountVma(vma);
    if (vma.file?.unmapped) yield* vma.file.unmapped();
  }
}

/**
 * Removes the pages and page tables of mappings that are out of the mapping list already.
 *
 * @param vmas in the order of their addresses, all of them in [start, end)
 * @see unmap_region()
 */
export function* unmapRegion(
  mm: MmStruct,
  vmas: readonly Vma[],
  start: VirtAddr,
  end: VirtAddr,
): Sleeps<void> {
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Unmap };
  mm.updateHiwaterRss();
  for (const vma of vmas) yield* munlockVmaPages(vma);
  yield* invalidateRangeStart(range);
  for (const vma of vmas) yield* zapPageRange(vma, vma.start, vma.end);
  yield* invalidateRangeEnd(range);
  for (const vma of vmas) yield* unlinkFromRmap(vma);
  const above = mm.vmas.indexFrom(start);
  const floor = mm.vmas.get(above - 1)?.end ?? 0;
  freePgtables(mm.pageTable, start, end, floor, mm.vmas.get(above)?.start ?? Number.POSITIVE_INFINITY);
}

/**
 * Divides the mappings that reach beyond the start or the end of the range.
 *
 * @see __split_vma() in do_mas_align_munmap()
 */
function* isolateRange(mm: MmStruct, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const first = mm.vmas.at(start);
  if (first && first.start < start) yield* splitVmaAnyway(first, start, "above");
  const last = mm.vmas.at((end - 1) as VirtAddr);
  if (last && last.end > end) yield* splitVmaAnyway(last, end, "below");
}

function detach(mm: MmStruct, start: VirtAddr, end: VirtAddr): Vma[] {
  const vmas = [...mm.vmas.within(start, end)];
  for (const vma of vmas) {
    mm.vmas.remove(vma);
    if ((vma.flags & VmFlag.LOCKED) !== 0) mm.lockedVm -= vma.pages;
  }
  return vmas;
}
