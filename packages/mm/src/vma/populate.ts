// Populating for system calls that have succeeded already, such as mmap() and brk(). Errors are dropped: an access to
// a missing page faults later. The work is done by faultin/populate.ts. Kernel counterpart: mm_populate() in
// include/linux/mm.h.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { populateVmaPageRange } from "../faultin/populate.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { Vma } from "./vma.ts";
import { VmFlag } from "./vm-flags.ts";

/** Populates the mappings in a range and ignores errors. Takes the mmap lock. @see mm_populate() */
export function* mmPopulateQuietly(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  const end = (start + length) as VirtAddr;
  yield* mm.mmapLock.downRead();
  for (const vma of mm.vmas.within(start, end)) {
    const first = Math.max(start, vma.start) as VirtAddr;
    yield* populateQuietly(vma, first, Math.min(end, vma.end) as VirtAddr);
  }
  mm.mmapLock.upRead();
}

/** Populates a part of one mapping and ignores errors. The mmap lock is held. @see populate_vma_page_range() */
export function* populateQuietly(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  if ((vma.flags & (VmFlag.IO | VmFlag.PFNMAP)) !== 0) return;
  try {
    for (let at = start; at < end;)
      at = (at + (yield* populateVmaPageRange(vma, at, end)) * 4096) as VirtAddr;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}
