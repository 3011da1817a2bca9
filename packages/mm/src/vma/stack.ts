// A stack grows when it is touched below its end, as long as the limits let it and nobody's mapping comes too close.
// Kernel counterpart: expand_downwards() and acct_stack_growth() in mm/mmap.c.
import { alignDown, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { moveBoundaries } from "./adjust.ts";
import { mayExpandVm, mayLock, vmStatAccount } from "./commit.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import { STACK_GUARD_GAP } from "./unmapped-area.ts";
import type { Vma } from "./vma.ts";
import { isAccessible, VmFlag } from "./vm-flags.ts";

/**
 * The mapping of an address, if need be a stack that grows down to it. The mmap lock is held, if only for reading. For
 * faults of the process itself: whoever else looks for pages below a stack finds none.
 *
 * @see find_extend_vma()
 */
export function* findExtendVma(mm: MmStruct, address: VirtAddr): Sleeps<Vma | undefined> {
  const vma = mm.vmas.findFrom(address);
  if (!vma || address >= vma.start) return vma;
  return (vma.flags & VmFlag.GROWSDOWN) !== 0 && (yield* expandStack(vma, address)) ? vma : undefined;
}

/**
 * Lets a stack reach down to an address. The mmap lock is held, if only for reading; reverse mapping walks, which would
 * miss a mapping that changes its place in the tree, are kept out.
 *
 * @returns whether it does now
 * @see expand_downwards()
 */
export function* expandStack(vma: Vma, touched: VirtAddr): Sleeps<boolean> {
  const locks = yield* takeRmapLocks(vma);
  const reaches = expandDownwards(vma, touched);
  dropRmapLocks(locks);
  return reaches;
}

function expandDownwards(vma: Vma, touched: VirtAddr): boolean {
  const { mm } = vma;
  const address = alignDown(touched, PAGE_SIZE) as VirtAddr;
  if (address >= vma.start) return true;
  if ((vma.flags & VmFlag.GROWSDOWN) === 0 || address < mm.vm.tunables.mmapMinAddr) return false;
  if (tooClose(mm.vmas.before(vma), address)) return false;
  const grow = (vma.start - address) / PAGE_SIZE;
  if (grow > vma.pgoff || !mayGrow(vma, vma.end - address, grow)) return false;
  if ((vma.flags & VmFlag.LOCKED) !== 0) mm.lockedVm += grow;
  vmStatAccount(mm, vma.flags, grow);
  moveBoundaries({ vma, start: address, end: vma.end });
  return true;
}

/** Between a stack and what lies below, there must stay a gap that a jump over is unlikely. @see stack_guard_gap */
function tooClose(below: Vma | undefined, address: VirtAddr): boolean {
  if (!below || (below.flags & VmFlag.GROWSDOWN) !== 0) return false;
  return isAccessible(below.flags) && address - below.end < STACK_GUARD_GAP;
}

/** @param size bytes it would have; @param grow pages more than now @see acct_stack_growth() */
function mayGrow(vma: Vma, size: number, grow: number): boolean {
  const { mm } = vma;
  if (size > mm.rlimit("stack")) return false;
  return mayExpandVm(mm, vma.flags, grow) && mayLock(mm, vma.flags, grow) && mm.vm.commit.tryCharge(mm, grow);
}
