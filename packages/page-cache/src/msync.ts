// msync(2): writes pages that were dirtied through shared mappings of files to the disk. The range may cross mappings
// of several files, private mappings and anonymous memory; only shared file mappings are written. A gap in the range is
// reported after the rest is written. Kernel counterpart: mm/msync.c.
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { type MmStruct, VmFlag } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { fsyncRange } from "./writeback.ts";

/** Flags of msync(2). @see MS_SYNC in include/uapi/asm-generic/mman-common.h */
export const MsyncFlag = { ASYNC: 1, INVALIDATE: 2, SYNC: 4 } as const;
const ALL_FLAGS = MsyncFlag.ASYNC | MsyncFlag.INVALIDATE | MsyncFlag.SYNC;

/**
 * Writes the dirty pages of [start, start + length) and waits for the disk.
 *
 * @param start address of a page
 * @param length bytes
 * @param flags MsyncFlag bits; ASYNC only checks the range, as in the kernel
 * @throws KernelError EINVAL for a start within a page, or flags that exclude each other; ENOMEM if a part of the
 *   range isn't mapped, after the rest is written; EBUSY for INVALIDATE of memory locked with mlock(2); EIO if the disk
 *   fails
 * @see msync()
 */
export function* msync(mm: MmStruct, start: VirtAddr, length: number, flags: number): Sleeps<void> {
  const both = MsyncFlag.ASYNC | MsyncFlag.SYNC;
  if ((flags & ~ALL_FLAGS) !== 0 || (flags & both) === both)
    throw new KernelError(
      "EINVAL",
      `msync flags 0x${flags.toString(16)}: give ASYNC or SYNC, and INVALIDATE with either`,
    );
  if (start % PAGE_SIZE !== 0)
    throw new KernelError("EINVAL", `0x${start.toString(16)} is within a page: msync begins at a page`);
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  let unmapped = false;
  for (let at: number = start; at < end;) {
    const part = yield* nextPart(mm, at, end, flags);
    unmapped ||= part.start > at;
    if (part.file) yield* fsyncRange(part.file.mapping, part.file.first, part.file.last);
    at = part.end;
  }
  if (unmapped)
    throw new KernelError("ENOMEM", `a part of 0x${start.toString(16)}-0x${end.toString(16)} is not mapped`);
}

/** A part of the range within one VMA, with the pages of its file to write. */
interface Part {
  readonly start: number;
  readonly end: number;
  readonly file?: { readonly mapping: AddressSpace; readonly first: number; readonly last: number };
}

/** The next part of the range. The mmap lock is released before the disk is used. */
function* nextPart(mm: MmStruct, at: number, end: number, flags: number): Sleeps<Part> {
  yield* mm.mmapLock.downRead();
  const vma = mm.vmas.findFrom(at as VirtAddr);
  mm.mmapLock.upRead();
  if (!vma || vma.start >= end) return { start: end, end };
  const start = Math.max(vma.start, at);
  const part = { start, end: Math.min(vma.end, end) };
  if ((flags & MsyncFlag.INVALIDATE) !== 0 && (vma.flags & VmFlag.LOCKED) !== 0)
    throw new KernelError("EBUSY", `the mapping at 0x${vma.start.toString(16)} is locked in memory`);
  const mapping = vma.file?.mapping;
  if (!mapping || (flags & MsyncFlag.SYNC) === 0 || (vma.flags & VmFlag.SHARED) === 0) return part;
  const first = vma.pgoffOf(part.start as VirtAddr);
  return { ...part, file: { mapping, first, last: first + (part.end - part.start) / PAGE_SIZE - 1 } };
}
