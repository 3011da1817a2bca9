// Faulting a range in without taking references, for MADV_POPULATE, mlock() and MAP_POPULATE. The three differ in the
// access they ask for and in their errors. Kernel counterparts: faultin_vma_page_range(), populate_vma_page_range(),
// __mm_populate() in mm/gup.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Vma } from "../vma/vma.ts";
import { isAccessible, VmFlag } from "../vma/vm-flags.ts";
import { Foll } from "./foll.ts";
import { refusalOf, walkUserPages } from "./faultin-page.ts";

/**
 * Faults in every page of [start, end), without changing contents. The mmap lock is held for reading.
 *
 * @param write whether for writing: copy-on-write happens now
 * @throws KernelError ENOMEM for a hole or when memory runs out; EINVAL where the mapping doesn't allow the access;
 *   EFAULT where a fault ends in a signal; EHWPOISON; EINTR. Pages before the failing one stay
 * @see madvise_populate() in mm/madvise.c
 */
export function* faultinPageRange(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  write: boolean,
): Sleeps<void> {
  const foll = Foll.TOUCH | Foll.HWPOISON | (write ? Foll.WRITE : 0);
  for (let at = start; at < end;) {
    const vma = mm.vmas.at(at);
    if (vma === undefined)
      throw new KernelError("ENOMEM", `nothing is mapped at 0x${at.toString(16)}: populate what is mapped`);
    const refusal = refusalOf(vma, foll);
    if (refusal !== undefined)
      throw new KernelError("EINVAL", `0x${at.toString(16)} can't be populated: ${refusal}`);
    const pages = (Math.min(end, vma.end) - at) / 4096;
    at = (at + (yield* walkUserPages(mm, at, pages, foll, undefined)) * 4096) as VirtAddr;
  }
}

/**
 * Faults in the pages of [start, end), for a mapping that is locked or has MAP_POPULATE. The mmap lock is held for
 * reading.
 *
 * @returns number of pages from the start that are present
 * @throws KernelError EFAULT, ENOMEM or EINTR when the first page failed
 * @see populate_vma_page_range()
 */
export function* populateVmaPageRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<number> {
  const pages = (end - start) / 4096;
  const { flags } = vma;
  if ((flags & VmFlag.LOCKONFAULT) !== 0) return pages;
  // A private writable mapping gets its copies now. Pages of a shared mapping aren't dirtied without need.
  const writes = (flags & (VmFlag.WRITE | VmFlag.SHARED)) === VmFlag.WRITE;
  const foll = Foll.TOUCH | (writes ? Foll.WRITE : 0) | (isAccessible(flags) ? Foll.FORCE : 0);
  return yield* walkUserPages(vma.mm, start, pages, foll, undefined);
}

/**
 * Populates all mappings of [start, start + length) except those of devices. Takes the mmap lock.
 *
 * @param length bytes
 * @throws KernelError the error of the first mapping that can't be populated
 * @see __mm_populate()
 */
export function* mmPopulate(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  const end = (start + length) as VirtAddr;
  yield* mm.mmapLock.downRead();
  try {
    for (let at = start; at < end;) {
      const vma = mm.vmas.findFrom(at);
      if (vma === undefined || vma.start >= end) return;
      const [first, last] = [Math.max(at, vma.start), Math.min(end, vma.end)] as [VirtAddr, VirtAddr];
      const skipped = (vma.flags & (VmFlag.IO | VmFlag.PFNMAP)) !== 0;
      at = skipped ? last : ((first + (yield* populateVmaPageRange(vma, first, last)) * 4096) as VirtAddr);
    }
  } finally {
    mm.mmapLock.upRead();
  }
}
