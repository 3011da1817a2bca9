// Growth of a stack. An access below the start of a stack extends it, within the limits, as long as the guard gap to
// the mapping below stays free. The mmap lock may be held for reading only. Kernel counterparts: expand_downwards()
// and acct_stack_growth() in mm/mmap.c.
import { alignDown, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { moveBoundaries } from "./adjust.ts";
import { mayExpandVm, mayLock, vmStatAccount } from "./commit.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import { STACK_GUARD_GAP } from "./unmapped-area.ts";
import type { Vma } from "./vma.ts";
import { isAccessible, VmFlag } from "./vm-flags.ts";

/**
 * The mapping of an address. A stack is grown down to the address first. The mmap lock is held, at least for reading.
 * Only faults of the process itself call this: get_user_pages() of other processes does not grow a stack.
 *
 * @see find_extend_vma()
 */
export function* findExtendVma(mm: MmStruct, address: VirtAddr): Sleeps<Vma | undefined> {
  const vma = mm.vmas.findFrom(address);
  if (!vma || address >= vma.start) return vma;
  return (vma.flags & VmFlag.GROWSDOWN) !== 0 && (yield* expandStack(vma, address)) ? vma : undefined;
}

/**
 * Grows a stack down to an address. The mmap lock is held, at least for reading. The rmap locks keep out reverse
 * mapping walks, which would miss the mapping while its place in the interval tree changes.
 *
 * @returns whether the stack covers the address now
 * @see expand_downwards()
 */
function* expandStack(vma: Vma, touched: VirtAddr): Sleeps<boolean> {
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
  if (breaksGuardGap(mm.vmas.before(vma), address)) return false;
  const grow = (vma.start - address) / PAGE_SIZE;
  if (grow > vma.pgoff || !mayGrow(vma, vma.end - address, grow)) return false;
  if ((vma.flags & VmFlag.LOCKED) !== 0) mm.lockedVm += grow;
  vmStatAccount(mm, vma.flags, grow);
  moveBoundaries({ vma, start: address, end: vma.end });
  return true;
}

/** Whether the guard gap between a stack and the mapping below would be broken. @see stack_guard_gap */
function breaksGuardGap(below: Vma | undefined, address: VirtAddr): boolean {
  if (!below || (below.flags & VmFlag.GROWSDOWN) !== 0) return false;
  return isAccessible(below.flags) && address - below.end < STACK_GUARD_GAP;
}

/**
 * Whether the limits allow the growth.
 *
 * @param size bytes of the stack after it
 * @param grow pages that are added
 * @see acct_stack_growth()
 */
function mayGrow(vma: Vma, size: number, grow: number): boolean {
  const { mm } = vma;
  if (size > mm.rlimit("stack")) return false;
  return mayExpandVm(mm, vma.flags, grow) && mayLock(mm, vma.flags, grow) && mm.vm.commit.tryCharge(mm, grow);
}
