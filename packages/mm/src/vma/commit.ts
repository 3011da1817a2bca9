// What address spaces have been promised: Committed_AS and the three ways to overcommit, and how much a single address
// space may map. Kernel counterparts: __vm_enough_memory() in mm/util.c, may_expand_vm() and vm_stat_account() in
// mm/mmap.c.
import { KernelError, MiB } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Vm } from "../vm.ts";
import { VmFlag } from "./vm-flags.ts";

/** Pages that mode 2 keeps for an administrator, and at most for a user, to save the machine with. */
const ADMIN_RESERVE_PAGES = (8 * MiB) / 4096;
const USER_RESERVE_PAGES = (128 * MiB) / 4096;

/** Pages promised to all address spaces of a machine. @see vm_committed_as */
export class Commit {
  /** Committed_AS, in pages. */
  pages = 0;
  private readonly vm: Vm;

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** CommitLimit, in pages: what mode 2 promises at most. @see vm_commit_limit() */
  get limit(): number {
    const { overcommitRatio } = this.vm.tunables;
    return Math.floor((totalRamPages(this.vm) * overcommitRatio) / 100) + this.vm.swap.totalPages;
  }

  /**
   * Promises pages to an address space.
   *
   * @throws KernelError ENOMEM when vm.overcommit_memory doesn't allow as much
   * @see __vm_enough_memory()
   */
  charge(mm: MmStruct, pages: number): void {
    const refusal = this.refusal(mm, pages);
    if (refusal !== undefined) throw new KernelError("ENOMEM", refusal);
    this.pages += pages;
  }

  /** The same for who has no error to give. @returns false when it isn't allowed */
  tryCharge(mm: MmStruct, pages: number): boolean {
    if (this.refusal(mm, pages) !== undefined) return false;
    this.pages += pages;
    return true;
  }

  /** The promise is given back. @see vm_unacct_memory() */
  uncharge(pages: number): void {
    this.pages -= pages;
  }

  private refusal(mm: MmStruct, pages: number): string | undefined {
    switch (this.vm.tunables.overcommitMemory) {
      case 0:
        return this.guess(pages);
      case 1:
        return undefined;
      case 2:
        return this.beyondLimit(mm, pages);
    }
  }

  /** Mode 0 refuses only what could never be there at once. */
  private guess(pages: number): string | undefined {
    const total = totalRamPages(this.vm) + this.vm.swap.totalPages;
    if (pages <= total) return undefined;
    return `${pages} pages are more than the ${total} of memory and swap together: map less, use MAP_NORESERVE, or set vm.overcommit_memory to 1`;
  }

  /** Mode 2 counts, and keeps a part of what a large process takes for whoever has to stop it. */
  private beyondLimit(mm: MmStruct, pages: number): string | undefined {
    const part = Math.floor(totalRamPages(this.vm) / 32);
    const forUser = Math.min(Math.floor(mm.totalVm / 32), part, USER_RESERVE_PAGES);
    const allowed = this.limit - Math.min(part, ADMIN_RESERVE_PAGES) - forUser;
    if (this.pages + pages < allowed) return undefined;
    return `${this.pages} of ${allowed} pages are promised, ${pages} more are too many: raise vm.overcommit_ratio or add swap`;
  }
}

/** Memory that the allocator manages. @see totalram_pages() */
export function totalRamPages({ memory }: Vm): number {
  return memory.nodes.reduce((sum, node) => sum + (node?.managedPages ?? 0), 0);
}

/** Whether a mapping's pages count as promised: those that writing makes. @see accountable_mapping() */
export function accountableMapping(flags: number): boolean {
  const counted = VmFlag.NORESERVE | VmFlag.SHARED | VmFlag.WRITE | VmFlag.HUGETLB;
  return (flags & counted) === VmFlag.WRITE;
}

/** Whether the limits leave an address space room for further pages. @see may_expand_vm() */
export function mayExpandVm(mm: MmStruct, flags: number, pages: number): boolean {
  const { addressSpaceLimit, dataLimit } = mm.vm.tunables;
  if (mm.totalVm + pages > Math.floor(addressSpaceLimit / 4096)) return false;
  return !isDataMapping(flags) || mm.dataVm + pages <= Math.floor(dataLimit / 4096);
}

/** @throws KernelError ENOMEM when mayExpandVm() says no */
export function checkExpansion(mm: MmStruct, flags: number, pages: number): void {
  if (mayExpandVm(mm, flags, pages)) return;
  const { addressSpaceLimit, dataLimit } = mm.vm.tunables;
  throw new KernelError(
    "ENOMEM",
    `${pages} pages don't fit beside the ${mm.totalVm} that are mapped (${mm.dataVm} of data): RLIMIT_AS is ${addressSpaceLimit} bytes, RLIMIT_DATA ${dataLimit}`,
  );
}

/** Whether pages of a mapping with these flags may be locked besides those that are. @see mlock_future_check() */
export function mayLock(mm: MmStruct, flags: number, pages: number): boolean {
  if ((flags & VmFlag.LOCKED) === 0) return true;
  return mm.lockedVm + pages <= Math.floor(mm.vm.tunables.memlockLimit / 4096);
}

/** @throws KernelError EAGAIN when mayLock() says no */
export function checkLock(mm: MmStruct, flags: number, pages: number): void {
  if (mayLock(mm, flags, pages)) return;
  throw new KernelError(
    "EAGAIN",
    `${mm.lockedVm} pages are locked, ${pages} more would be over RLIMIT_MEMLOCK, ${mm.vm.tunables.memlockLimit} bytes`,
  );
}

/** @throws KernelError ENOMEM when the address space can't have one more mapping */
export function checkMapCount(mm: MmStruct, limit: number = mm.vm.tunables.maxMapCount): void {
  if (mm.vmas.count < limit) return;
  throw new KernelError(
    "ENOMEM",
    `the address space has ${mm.vmas.count} mappings, as many as vm.max_map_count lets it: raise it`,
  );
}

/** Counts pages of a mapping to the sums that status shows. @see vm_stat_account() */
export function vmStatAccount(mm: MmStruct, flags: number, pages: number): void {
  mm.totalVm += pages;
  if ((flags & (VmFlag.EXEC | VmFlag.WRITE | VmFlag.GROWSDOWN)) === VmFlag.EXEC) mm.execVm += pages;
  else if ((flags & VmFlag.GROWSDOWN) !== 0) mm.stackVm += pages;
  else if (isDataMapping(flags)) mm.dataVm += pages;
}

/** @see is_data_mapping() */
function isDataMapping(flags: number): boolean {
  return (flags & (VmFlag.WRITE | VmFlag.SHARED | VmFlag.GROWSDOWN)) === VmFlag.WRITE;
}
