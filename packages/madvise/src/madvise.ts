// madvise(): advice of a process about its use of memory. One kind of advice changes the flags of mappings, under the
// mmap lock for writing; the other acts on pages at once, under the lock for reading. Holes in the range are reported
// at the end. Kernel counterparts: do_madvise() and madvise_walk_vmas() in mm/madvise.c.
import { alignUp, isAligned, KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { Madv, type MmStruct, type Vma } from "@hetmem/mm";
import { faultinPageRange } from "@hetmem/mm/faultin";
import { madviseCold, madvisePageout } from "./cold.ts";
import { madviseRemove, madviseWillneed } from "./file.ts";
import { madviseFlags } from "./flags.ts";
import { madviseDontneed, madviseFree } from "./free.ts";
import { madviseInjectError } from "./inject-error.ts";
import "./version.ts";

const HUGE_PAGE_ADVICE: ReadonlySet<number> = new Set([Madv.HUGEPAGE, Madv.NOHUGEPAGE, Madv.COLLAPSE]);

/** Applies advice to a part of one mapping. */
type Visit = (vma: Vma, start: VirtAddr, end: VirtAddr) => Sleeps<void>;

/**
 * Advice about pages, which leaves the mappings as they are. The mmap lock is held for reading.
 *
 * @see madvise_need_mmap_write()
 */
const PAGE_ADVICE: ReadonlyMap<number, Visit> = new Map<number, Visit>([
  [Madv.WILLNEED, madviseWillneed],
  [Madv.DONTNEED, (vma, start, end) => madviseDontneed(vma, start, end, "unlocked")],
  [Madv.DONTNEED_LOCKED, (vma, start, end) => madviseDontneed(vma, start, end, "any")],
  [Madv.FREE, madviseFree],
  [Madv.REMOVE, madviseRemove],
  [Madv.COLD, madviseCold],
  [Madv.PAGEOUT, madvisePageout],
  [Madv.COLLAPSE, (vma, start, end) => vma.mm.vm.khugepaged.madviseCollapse(vma, start, end)],
  [Madv.POPULATE_READ, (vma, start, end) => faultinPageRange(vma.mm, start, end, false)],
  [Madv.POPULATE_WRITE, (vma, start, end) => faultinPageRange(vma.mm, start, end, true)],
]);

/**
 * Applies advice to a range. Holes don't stop the walk; they are reported at the end.
 *
 * @param length bytes; the last page counts whole
 * @param advice one of Madv
 * @throws KernelError EINVAL for advice that is unknown or doesn't fit a mapping; ENOMEM for a hole; EAGAIN when a
 *   mapping would have to be divided and vm.max_map_count is reached; and, by advice, EPERM, EACCES, EFAULT or
 *   EHWPOISON
 * @see madvise(2)
 */
export function* madvise(mm: MmStruct, start: VirtAddr, length: number, advice: number): Sleeps<void> {
  const aboutPages = PAGE_ADVICE.get(advice);
  const aboutFlags = madviseFlags(advice);
  const injected = advice === Madv.HWPOISON || advice === Madv.SOFT_OFFLINE;
  if ((!aboutPages && !aboutFlags && !injected) || !isBuilt(mm, advice))
    throw new KernelError("EINVAL", `advice ${advice} means nothing to this kernel`);
  if (!isAligned(start, PAGE_SIZE) || length < 0)
    throw new KernelError("EINVAL", `0x${start.toString(16)} is not the address of a page`);
  const end = (start + alignUp(length, PAGE_SIZE)) as VirtAddr;
  if (end === start) return;
  if (injected) yield* madviseInjectError(mm, start, end, advice === Madv.HWPOISON ? "hard" : "soft");
  else if (aboutPages) yield* adviseForReading(mm, start, end, aboutPages);
  else if (aboutFlags) yield* adviseForWriting(mm, start, end, aboutFlags);
}

/** Advice about huge pages needs a kernel with them. @see madvise_behavior_valid() */
function isBuilt({ vm }: MmStruct, advice: number): boolean {
  return vm.transparentHugepages || !HUGE_PAGE_ADVICE.has(advice);
}

function* adviseForReading(mm: MmStruct, start: VirtAddr, end: VirtAddr, visit: Visit): Sleeps<void> {
  yield* mm.mmapLock.downRead();
  try {
    yield* walkVmas(mm, start, end, visit);
  } finally {
    mm.mmapLock.upRead();
  }
}

function* adviseForWriting(mm: MmStruct, start: VirtAddr, end: VirtAddr, visit: Visit): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  try {
    yield* walkVmas(mm, start, end, visit);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/** Visits the mappings of a range. A visit may change mappings, so each is looked up anew. @see madvise_walk_vmas() */
function* walkVmas(mm: MmStruct, start: VirtAddr, end: VirtAddr, visit: Visit): Sleeps<void> {
  let hole: VirtAddr | undefined;
  for (let at = start; at < end;) {
    const vma = mm.vmas.findFrom(at);
    if (!vma || vma.start > at) hole ??= at;
    if (!vma || vma.start >= end) break;
    const stop = Math.min(vma.end, end) as VirtAddr;
    yield* visit(vma, Math.max(vma.start, at) as VirtAddr, stop);
    at = stop;
  }
  if (hole === undefined) return;
  throw new KernelError("ENOMEM", `nothing is mapped at 0x${hole.toString(16)}; the rest has been advised`);
}
