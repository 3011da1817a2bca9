// The heap: a mapping between mm.startBrk and the break, which the process moves. Growing the heap maps anonymous
// memory, and shrinking it unmaps its end. A failed brk() leaves the break where it was. Kernel counterparts: brk()
// and do_brk_flags() in mm/mmap.c.
import { alignUp, KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { adjustVmas, enterVma } from "./adjust.ts";
import { checkExpansion, checkLock, checkMapCount, vmStatAccount } from "./commit.ts";
import { MapFlag } from "./map-flags.ts";
import { canMergeAfter } from "./merge.ts";
import { doMunmap } from "./munmap.ts";
import { mmPopulateQuietly } from "./populate.ts";
import { getUnmappedArea, startGap } from "./unmapped-area.ts";
import { Vma } from "./vma.ts";
import { VmFlag } from "./vm-flags.ts";

/** Flags of a new private data mapping. @see VM_DATA_DEFAULT_FLAGS */
const VM_DATA_DEFAULT_FLAGS: number =
  VmFlag.READ | VmFlag.WRITE | VmFlag.MAYREAD | VmFlag.MAYWRITE | VmFlag.MAYEXEC;

/**
 * Moves the break.
 *
 * @returns the break afterwards; the old one when the move failed for any reason
 * @see brk(2), the system call and not the C library's function
 */
export function* brk(mm: MmStruct, address: VirtAddr): Sleeps<VirtAddr> {
  yield* mm.mmapLock.downWrite();
  const before = mm.brk;
  try {
    yield* moveBreak(mm, address);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return before;
  } finally {
    mm.mmapLock.upWrite();
  }
  const [from, to] = [alignUp(before, PAGE_SIZE), alignUp(address, PAGE_SIZE)];
  if (to > from && (mm.defFlags & VmFlag.LOCKED) !== 0)
    yield* mmPopulateQuietly(mm, from as VirtAddr, to - from);
  return address;
}

function* moveBreak(mm: MmStruct, address: VirtAddr): Sleeps<void> {
  const dataLimit = mm.rlimit("data");
  if (address < mm.startBrk)
    throw new KernelError("EINVAL", `the heap begins at 0x${mm.startBrk.toString(16)}, and can't end before`);
  if (address - mm.startBrk > dataLimit)
    throw new KernelError("ENOMEM", `the heap would be larger than RLIMIT_DATA, ${dataLimit} bytes`);
  const from = alignUp(mm.brk, PAGE_SIZE) as VirtAddr;
  const to = alignUp(address, PAGE_SIZE) as VirtAddr;
  if (to > from) yield* growHeap(mm, from, to);
  else if (to < from) yield* shrinkHeap(mm, to, from);
  mm.brk = address;
}

function* shrinkHeap(mm: MmStruct, to: VirtAddr, from: VirtAddr): Sleeps<void> {
  const vma = mm.vmas.findFrom(to);
  if (!vma || vma.start >= from) throw new KernelError("ENOMEM", "the process has unmapped its heap itself");
  yield* doMunmap(mm, to, from - to);
}

/** A page must stay free below the next mapping, or the guard gap if that is a stack. */
function* growHeap(mm: MmStruct, from: VirtAddr, to: VirtAddr): Sleeps<void> {
  const length = to - from;
  const { defFlags } = mm;
  getUnmappedArea(mm, { address: from, length, file: undefined, pgoff: 0, flags: MapFlag.FIXED });
  checkLock(mm, defFlags, length / PAGE_SIZE);
  const next = mm.vmas.findFrom(from);
  if (next && to + PAGE_SIZE > startGap(next))
    throw new KernelError("ENOMEM", `the heap would reach what is mapped at 0x${next.start.toString(16)}`);
  yield* doBrk(mm, from, to);
}

/**
 * Maps anonymous memory into a free range. The mapping below grows over it if their properties are equal.
 *
 * @throws KernelError ENOMEM when RLIMIT_AS, RLIMIT_DATA, vm.max_map_count or overcommit doesn't allow the pages
 * @see do_brk_flags()
 */
function* doBrk(mm: MmStruct, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const flags = VM_DATA_DEFAULT_FLAGS | VmFlag.ACCOUNT | mm.defFlags;
  const pages = (end - start) / PAGE_SIZE;
  checkExpansion(mm, flags, pages);
  checkMapCount(mm, mm.vm.tunables.maxMapCount + 1);
  mm.vm.commit.charge(mm, pages);
  const pgoff = start / PAGE_SIZE;
  const below = mm.vmas.get(mm.vmas.indexFrom(start) - 1);
  const span = { start, end, flags, anonVma: undefined, file: undefined, pgoff, policy: undefined };
  if (below && canMergeAfter(below, span)) {
    yield* adjustVmas([{ vma: below, start: below.start, end }]);
    below.flags |= VmFlag.SOFTDIRTY;
    vmStatAccount(mm, flags, pages);
  } else {
    yield* enterVma(new Vma(mm, start, end, flags | VmFlag.SOFTDIRTY, pgoff));
  }
  if ((flags & VmFlag.LOCKED) !== 0) mm.lockedVm += pages;
}
