// A stack grows when it is touched below its end, as long as the limits let it and nobody's mapping comes too close.
// Kernel counterpart: expand_downwards() and acct_stack_growth() in mm/mmap.c.
import { alignDown, PAGE_SIZE, type VirtAddr } from "@hetmem/kernel";
import { moveBoundaries } from "./adjust.ts";
import { mayExpandVm, mayLock, vmStatAccount } from "./commit.ts";
import { STACK_GUARD_GAP } from "./unmapped-area.ts";
import type { Vma } from "./vma.ts";
import { isAccessible, VmFlag } from "./vm-flags.ts";

/**
 * Lets a stack reach down to an address. The mmap lock is held, if only for reading: nothing else moves in one step.
 *
 * @returns whether it does now
 * @see expand_downwards()
 */
export function expandStack(vma: Vma, touched: VirtAddr): boolean {
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
  if (size > mm.vm.tunables.stackLimit) return false;
  return mayExpandVm(mm, vma.flags, grow) && mayLock(mm, vma.flags, grow) && mm.vm.commit.tryCharge(mm, grow);
}
