// The end of processes and of address spaces. The last user of an address space tears it down: notifiers are released
// first, then entries, page tables and mappings are removed. The rss counters must be zero at the end. Kernel
// counterparts: do_exit() in kernel/exit.c, exit_mmap() in mm/mmap.c.
import { bugOn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmuNotifierRelease } from "@hetmem/mmu-notifier";
import { TASK_SIZE } from "@hetmem/page-table";
import type { MmStruct } from "../mm-struct.ts";
import { freePgtables } from "../unmap/free-pgtables.ts";
import { zapPageRange } from "../unmap/zap.ts";
import { unlinkFromRmap } from "../vma/adjust.ts";
import { uncountVma } from "../vma/link.ts";
import { munlockVmaPages } from "../vma/mlock.ts";
import { freeKernelStack } from "./kernel-stack.ts";
import type { Process } from "./process.ts";

/** Ends a process. Its address space is torn down with the last user, and its files are closed. @see do_exit() */
export function* exitProcess(process: Process): Sleeps<void> {
  const { mm } = process;
  if (!mm) return;
  mm.updateHiwaterRss();
  process.mm = undefined;
  mm.vm.processes.remove(process);
  freeKernelStack(mm.vm, process.kernelStack);
  process.kernelStack = [];
  yield* mmput(mm);
  for (const close of process.closing) yield* close();
  process.closing.clear();
}

/**
 * Takes a reference on the users of an address space, to be dropped by mmput().
 *
 * @returns false when no user is left
 * @see mmget_not_zero()
 */
export function mmgetNotZero(mm: MmStruct): boolean {
  if (mm.users === 0) return false;
  mm.users++;
  return true;
}

/** Drops a user of an address space; the last one tears it down. @see mmput() */
export function* mmput(mm: MmStruct): Sleeps<void> {
  if (--mm.users === 0) yield* exitMmap(mm);
}

/** Tears an address space down. @see exit_mmap() */
export function* exitMmap(mm: MmStruct): Sleeps<void> {
  mm.dead = true;
  // release() of the notifiers drops all mirrored state, so the ranges below need no invalidation.
  yield* mmuNotifierRelease(mm);
  yield* mm.mmapLock.downWrite();
  const vmas = [...mm.vmas];
  for (const vma of vmas) {
    yield* munlockVmaPages(vma);
    yield* zapPageRange(vma, vma.start, vma.end);
  }
  for (const vma of vmas) yield* unlinkFromRmap(vma);
  freePgtables(mm.pageTable, 0 as VirtAddr, TASK_SIZE as VirtAddr, 0, Number.POSITIVE_INFINITY);
  for (const vma of vmas) {
    mm.vmas.remove(vma);
    uncountVma(vma);
    if (vma.file?.unmapped) yield* vma.file.unmapped();
  }
  mm.mmapLock.upWrite();
  bugOn(
    mm.rss.some((pages) => pages !== 0),
    `mm ${mm.id} ends with pages counted: ${mm.rss.join(", ")}`,
  );
  mm.pageTable.destroy();
  mm.vm.addressSpaces.delete(mm);
}
