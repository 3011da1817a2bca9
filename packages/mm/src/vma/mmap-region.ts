// The mapping itself: what was there goes, its pages are promised, and then a neighbour grows over the place or a new
// mapping is made, which its file or driver looks at. All or nothing. Kernel counterpart: mmap_region() in mm/mmap.c.
import { KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import { adjustVmas, enterVma } from "./adjust.ts";
import { accountableMapping, checkExpansion, mayExpandVm, vmStatAccount } from "./commit.ts";
import { canMergeAfter, canMergeBefore, type Span, vmaMerge } from "./merge.ts";
import { doMunmap, unmapRegion } from "./munmap.ts";
import { Vma } from "./vma.ts";
import { VM_LOCKED_MASK, VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** What is going to be mapped, and where. */
export interface Region {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  /** VmFlag bits. */
  readonly flags: number;
  readonly file: FileObject | undefined;
  readonly pgoff: number;
}

/**
 * Maps a region over whatever is there. The mmap lock is held for writing.
 *
 * @returns where it begins
 * @throws KernelError ENOMEM when limits don't let it, and what the file's driver throws
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
  // Who tracks writes must see that this is other memory than what was there before.
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

/** The mapping below, the one above or both become one with the region. @see vma_expand() */
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
    // The driver has set flags, with which it may be like the mapping below.
    const merged = yield* vmaMerge(mm, prev, { ...span, flags: vma.flags, pgoff: vma.pgoff });
    if (merged) {
      vmStatAccount(mm, merged.flags, vma.pages);
      return merged;
    }
  }
  yield* enterVma(vma);
  return vma;
}

/** The driver sees the mapping before anybody else, and may fill it at once. What it has filled goes when it then refuses. */
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
