// The last step of mmap(). Mappings in the range are removed, the pages are charged to Committed_AS, and a neighbour
// grows over the range or a new mapping is made and shown to its file or driver. A failure undoes the charge. Kernel
// counterpart: mmap_region() in mm/mmap.c.
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import { adjustVmas, enterVma } from "./adjust.ts";
import { accountableMapping, checkExpansion, mayExpandVm, vmStatAccount } from "./commit.ts";
import { canMergeAfter, canMergeBefore, type Span, vmaMerge } from "./merge.ts";
import { doMunmap, unmapRegion } from "./munmap.ts";
import { Vma } from "./vma.ts";
import { VM_LOCKED_MASK, VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** The range to be mapped, and its properties. */
export interface Region {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  /** VmFlag bits. */
  readonly flags: number;
  readonly file: FileObject | undefined;
  readonly pgoff: number;
}

/**
 * Maps a region, and removes the mappings in its range first. The mmap lock is held for writing.
 *
 * @returns the start of the region
 * @throws KernelError ENOMEM when RLIMIT_AS, RLIMIT_DATA or overcommit doesn't allow the pages, and the errors of the
 *   file's mmap()
 * @see mmap_region()
 */
export function* mmapRegion(mm: MmStruct, region: Region): Sleeps<VirtAddr> {
  const { start, end } = region;
  const pages = (end - start) / PAGE_SIZE;
  if (!mayExpandVm(mm, region.flags, pages))
    checkExpansion(mm, region.flags, pages - pagesMapped(mm, start, end));
  yield* unmapOld(mm, start, end);
  const promised = accountableMapping(region.flags);
  if (promised) mm.vm.commit.charge(mm, pages);
  const flags = promised ? region.flags | VmFlag.ACCOUNT : region.flags;
  const span: Span = { ...region, flags, anonVma: undefined, policy: undefined };
  let vma: Vma;
  try {
    vma = (yield* growNeighbour(mm, span)) ?? (yield* makeVma(mm, span));
  } catch (error) {
    if (promised) mm.vm.commit.uncharge(pages);
    throw error;
  }
  if ((vma.flags & VmFlag.LOCKED) !== 0) {
    if ((vma.flags & VM_SPECIAL) !== 0) vma.flags &= ~VM_LOCKED_MASK;
    else mm.lockedVm += pages;
  }
  // Soft-dirty: the contents differ from those of the mapping that was replaced.
  vma.flags |= VmFlag.SOFTDIRTY;
  return start;
}

/** @see count_vma_pages_range() */
function pagesMapped(mm: MmStruct, start: VirtAddr, end: VirtAddr): number {
  let bytes = 0;
  for (const vma of mm.vmas.within(start, end)) bytes += Math.min(vma.end, end) - Math.max(vma.start, start);
  return bytes / PAGE_SIZE;
}

function* unmapOld(mm: MmStruct, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  try {
    yield* doMunmap(mm, start, end - start);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new KernelError("ENOMEM", `what is mapped there can't be replaced (${error.reason})`);
  }
}

/** Grows the mapping below, the one above, or joins both over the region. @see vma_expand() */
function* growNeighbour(mm: MmStruct, span: Span): Sleeps<Vma | undefined> {
  if ((span.flags & VM_SPECIAL) !== 0) return undefined;
  const { start, end } = span;
  const index = mm.vmas.indexFrom(start);
  const above = mm.vmas.get(index);
  const below = mm.vmas.get(index - 1);
  const next = above && canMergeBefore(above, span) ? above : undefined;
  const joint = next ? { ...span, anonVma: next.anonVma } : span;
  const prev = below && canMergeAfter(below, joint) ? below : undefined;
  if (prev) yield* adjustVmas([{ vma: prev, start: prev.start, end: next?.end ?? end }], next ? [next] : []);
  else if (next) yield* adjustVmas([{ vma: next, start, end: next.end }]);
  else return undefined;
  vmStatAccount(mm, span.flags, (end - start) / PAGE_SIZE);
  return prev ?? next;
}

function* makeVma(mm: MmStruct, span: Span): Sleeps<Vma> {
  const { start, end, pgoff, file } = span;
  const flags = span.flags | VmFlag.SOFTDIRTY;
  const vma = new Vma(mm, start, end, flags, pgoff);
  if (file) yield* mmapFile(vma, file);
  else if ((flags & VmFlag.SHARED) !== 0) mm.vm.sharedMemory.zeroSetup(vma);
  const prev = mm.vmas.get(mm.vmas.indexFrom(start) - 1);
  if (vma.flags !== flags && prev) {
    // The driver has added flags. With them the mapping may be equal to the one below.
    const merged = yield* vmaMerge(mm, prev, { ...span, flags: vma.flags, pgoff: vma.pgoff });
    if (merged) {
      vmStatAccount(mm, merged.flags, vma.pages);
      return merged;
    }
  }
  yield* enterVma(vma);
  return vma;
}

/**
 * Calls the file's mmap() before the mapping is in any list. The driver may insert pages at once; they are unmapped
 * if it then fails.
 */
function* mmapFile(vma: Vma, file: FileObject): Sleeps<void> {
  vma.file = file;
  vma.ops = file.vmOps;
  vma.flags |= file.vmFlags ?? 0;
  try {
    const looks = file.mmap?.(vma);
    if (looks) yield* looks;
  } catch (error) {
    vma.file = undefined;
    yield* unmapRegion(vma.mm, [vma], vma.start, vma.end);
    throw error;
  }
}
