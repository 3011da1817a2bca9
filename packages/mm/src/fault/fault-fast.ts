// The fast path of a fault: the first access to anonymous memory while no task writes to the address space. The fault
// finishes without a lock, or returns RETRY for handleMmFault() under the lock. Kernel counterpart:
// lock_vma_under_rcu() in mm/memory.c (6.4), and the same path through do_anonymous_page() before.
import type { VirtAddr } from "@hetmem/kernel";
import { NO_ENTRY } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import type { MmStruct } from "../mm-struct.ts";
import { countMmEvent } from "../vm-events.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import { fillAnonymous } from "./anon.ts";
import { FaultFlag, VmFault } from "./vm-fault.ts";

/**
 * Handles a fault that needs no lock and no sleep.
 *
 * @param address the byte that was accessed
 * @param flags FaultFlag bits
 * @returns 0 when the fault is handled, VmFault.RETRY when handleMmFault() must handle it
 */
export function faultFast(mm: MmStruct, address: VirtAddr, flags: number): VmFault {
  const { vm, pageTable } = mm;
  const vma = mm.vmas.at(address);
  if (vma === undefined || vma.ops !== undefined || mm.mmapLock.writeLocked) return VmFault.RETRY;
  const wanted = (flags & FaultFlag.WRITE) !== 0 ? VmFlag.WRITE : VmFlag.READ;
  if ((vma.flags & (wanted | VmFlag.LOCKED | VmFlag.HUGEPAGE)) !== wanted) return VmFault.RETRY;
  const entry = pageTable.find(address);
  // Without a page table, handleMmFault() may map a huge page.
  if (entry === NO_ENTRY || pageTable.flags(entry) !== 0) return VmFault.RETRY;
  if (fillAnonymous(vm, vma, address, entry, flags) !== 0) return VmFault.RETRY;
  countMmEvent(mm, VmEvent.pgfault);
  return 0;
}
