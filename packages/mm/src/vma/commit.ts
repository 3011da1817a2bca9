// Committed_AS, the pages promised to all address spaces, with the three modes of vm.overcommit_memory; and the
// limits of a single address space. Kernel counterparts: __vm_enough_memory() in mm/util.c, may_expand_vm() and
// vm_stat_account() in mm/mmap.c.
import { KernelError, RatelimitedLog } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { Cap } from "../process/credentials.ts";
import type { Vm } from "../vm.ts";
import { VmFlag } from "./vm-flags.ts";

/** Log lines about refusals at most in five seconds. @see pr_warn_ratelimited() */
const REFUSAL_BURST = 10;

/** Pages promised to all address spaces of a machine. @see vm_committed_as */
export class Commit {
  /** Committed_AS, in pages. */
  pages = 0;
  /** Whether the warning about RLIMIT_DATA has been logged since boot. */
  warnedOfData = false;
  private readonly vm: Vm;
  private readonly limited: RatelimitedLog;

  constructor(vm: Vm) {
    this.vm = vm;
    this.limited = new RatelimitedLog(vm.kernel, REFUSAL_BURST, "__vm_enough_memory");
  }

  /**
   * CommitLimit, in pages, which go past 2^53: the most that mode 2 promises. Pages of the hugetlb pool are not part of it, since they
   * can't be used otherwise.
   *
   * @see vm_commit_limit()
   */
  get limit(): bigint {
    const { hugetlb, swap, tunables } = this.vm;
    const { overcommitKbytes, overcommitRatio } = tunables;
    const swapPages = BigInt(swap.totalPages);
    if (overcommitKbytes > 0n) return (overcommitKbytes >> 2n) + swapPages;
    const pages = totalRamPages(this.vm) - hugetlb.totalPages;
    // The kernel multiplies without a sign, so a negative ratio gives a huge limit.
    const percents = BigInt.asUintN(64, BigInt(pages) * BigInt(overcommitRatio));
    return percents / 100n + swapPages;
  }

  /**
   * Promises pages to an address space.
   *
   * @param mm undefined for memory of the kernel itself
   * @throws KernelError ENOMEM when vm.overcommit_memory doesn't allow the pages
   * @see __vm_enough_memory()
   */
  charge(mm: MmStruct | undefined, pages: number): void {
    const refusal = this.refusal(mm, pages);
    if (refusal !== undefined) throw this.refused(mm, refusal);
    this.pages += pages;
  }

  /** charge() for callers that can't throw. @returns false when the pages aren't allowed */
  tryCharge(mm: MmStruct | undefined, pages: number): boolean {
    const refusal = this.refusal(mm, pages);
    if (refusal !== undefined) this.refused(mm, refusal);
    else this.pages += pages;
    return refusal === undefined;
  }

  /** Gives promised pages back. @see vm_unacct_memory() */
  uncharge(pages: number): void {
    this.pages -= pages;
  }

  private refusal(mm: MmStruct | undefined, pages: number): string | undefined {
    switch (this.vm.tunables.overcommitMemory) {
      case 0:
        return this.refuseHeuristic(pages);
      case 1:
        return undefined;
      case 2:
        return this.refuseNever(mm, pages);
    }
  }

  /** Logs a refusal, and makes the error for it. */
  private refused(mm: MmStruct | undefined, reason: string): KernelError {
    const { pid = 1, comm = "sh" } = mm?.owner ?? {};
    this.limited.printk(
      4,
      `__vm_enough_memory: pid: ${pid}, comm: ${comm}, no enough memory for the allocation`,
    );
    return new KernelError("ENOMEM", reason);
  }

  /** Mode 0 refuses only requests larger than all memory and swap together. */
  private refuseHeuristic(pages: number): string | undefined {
    const total = totalRamPages(this.vm) + this.vm.swap.totalPages;
    if (pages <= total) return undefined;
    return `${pages} pages are more than the ${total} of memory and swap together: map less, use MAP_NORESERVE, or set vm.overcommit_memory to 1`;
  }

  /** Mode 2 counts promises, and keeps the reserves of commit-reserves.ts free. */
  private refuseNever(mm: MmStruct | undefined, pages: number): string | undefined {
    const { adminReserveKbytes, userReserveKbytes } = this.vm.tunables;
    const privileged = mm === undefined || mm.capable(Cap.SYS_ADMIN);
    const forAdmin = privileged ? 0 : Number(adminReserveKbytes >> 2n);
    const forUser =
      mm === undefined ? 0 : Math.min(Math.floor(mm.totalVm / 32), Number(userReserveKbytes >> 2n));
    const allowed = Number(this.limit) - forAdmin - forUser;
    if (this.pages + pages < allowed) return undefined;
    return `${this.pages} of ${allowed} pages are promised, ${pages} more are too many: raise vm.overcommit_ratio or add swap`;
  }
}

/** Pages that the allocator manages, of all nodes. @see totalram_pages() */
export function totalRamPages({ memory }: Pick<Vm, "memory">): number {
  return memory.nodes.reduce((sum, node) => sum + (node?.managedPages ?? 0), 0);
}

/**
 * Whether the pages of a mapping count in Committed_AS: private writable ones do, because a write makes a copy.
 *
 * @see accountable_mapping()
 */
export function accountableMapping(flags: number): boolean {
  const counted = VmFlag.NORESERVE | VmFlag.SHARED | VmFlag.WRITE | VmFlag.HUGETLB;
  return (flags & counted) === VmFlag.WRITE;
}

/** Whether the limits leave an address space room for further pages. @see may_expand_vm() */
export function mayExpandVm(mm: MmStruct, flags: number, pages: number): boolean {
  if (mm.totalVm + pages > Math.floor(mm.rlimit("as") / 4096)) return false;
  const data = mm.dataVm + pages;
  const { soft, hard } = mm.rights.rlimits.get("data");
  if (!isDataMapping(flags) || data <= Math.floor(soft / 4096)) return true;
  // Valgrind sets the soft limit to 0 and the kernel then applies the hard limit.
  if (soft === 0 && data <= Math.floor(hard / 4096)) return true;
  warnOfData(mm, data, soft);
  return false;
}

/** Logged once per boot. @see pr_warn_once() */
function warnOfData({ owner, vm }: MmStruct, data: number, limit: number): void {
  if (vm.commit.warnedOfData) return;
  vm.commit.warnedOfData = true;
  const { pid = 1, comm = "sh" } = owner ?? {};
  vm.kernel.log.printk(
    4,
    `${comm} (${pid}): VmData ${data * 4096} exceed data ulimit ${limit}. Update limits or use boot option ignore_rlimit_data.`,
  );
}

/** Checks RLIMIT_AS and RLIMIT_DATA for further pages. @throws KernelError ENOMEM when mayExpandVm() returns false */
export function checkExpansion(mm: MmStruct, flags: number, pages: number): void {
  if (mayExpandVm(mm, flags, pages)) return;
  throw new KernelError(
    "ENOMEM",
    `${pages} pages don't fit beside the ${mm.totalVm} that are mapped (${mm.dataVm} of data): RLIMIT_AS is ${mm.rlimit("as")} bytes, RLIMIT_DATA ${mm.rlimit("data")}`,
  );
}

/** Whether further pages of a mapping with these flags may be locked. @see mlock_future_check() */
export function mayLock(mm: MmStruct, flags: number, pages: number): boolean {
  if ((flags & VmFlag.LOCKED) === 0) return true;
  return mm.lockedVm + pages <= Math.floor(mm.rlimit("memlock") / 4096) || mm.capable(Cap.IPC_LOCK);
}

/**
 * Checks that a process may lock memory at all.
 *
 * @throws KernelError EPERM when RLIMIT_MEMLOCK is 0 and the process lacks CAP_IPC_LOCK
 * @see can_do_mlock()
 */
export function checkMayLock(mm: MmStruct): void {
  if (mm.rlimit("memlock") > 0 || mm.capable(Cap.IPC_LOCK)) return;
  throw new KernelError("EPERM", "RLIMIT_MEMLOCK is 0: the process may not lock memory");
}

/** Checks RLIMIT_MEMLOCK for further pages. @throws KernelError EAGAIN when mayLock() returns false */
export function checkLock(mm: MmStruct, flags: number, pages: number): void {
  if (mayLock(mm, flags, pages)) return;
  throw new KernelError(
    "EAGAIN",
    `${mm.lockedVm} pages are locked, ${pages} more would be over RLIMIT_MEMLOCK, ${mm.rlimit("memlock")} bytes`,
  );
}

/** Checks the number of mappings. @throws KernelError ENOMEM when the address space has `limit` mappings or more */
export function checkMapCount(mm: MmStruct, limit: number = mm.vm.tunables.maxMapCount): void {
  if (mm.vmas.count < limit) return;
  throw new KernelError(
    "ENOMEM",
    `the address space has ${mm.vmas.count} mappings, as many as vm.max_map_count lets it: raise it`,
  );
}

/** Adds pages of a mapping to the sums that /proc/PID/status shows. @see vm_stat_account() */
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
