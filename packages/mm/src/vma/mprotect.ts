// mprotect(): the mapping is split or merged, then its entries get the new access bits. The bits that mmap() allowed
// are the limit. Private memory that becomes writable is charged to Committed_AS. Kernel counterparts:
// do_mprotect_pkey() and mprotect_fixup() in mm/mprotect.c.
import { alignUp, isAligned, KernelError, PAGE_SIZE, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { changeProtection } from "./change-protection.ts";
import { checkExpansion, mayExpandVm, vmStatAccount } from "./commit.ts";
import { protFlags } from "./mmap.ts";
import { populateQuietly } from "./populate.ts";
import { vmaModify } from "./split.ts";
import { describeVma, type Vma } from "./vma.ts";
import { Prot, VM_ACCESS_FLAGS, VmFlag } from "./vm-flags.ts";

const KNOWN_PROT = Prot.READ | Prot.WRITE | Prot.EXEC | Prot.SEM;

/**
 * Changes the protection of a range. An error leaves the mappings before the failing address changed.
 *
 * @param length bytes; the last page counts whole
 * @param prot Prot bits; GROWSDOWN extends the range down to the start of the stack
 * @throws KernelError EINVAL for a start inside a page, or unknown bits; ENOMEM for a hole, or when RLIMIT_DATA,
 *   vm.max_map_count or overcommit doesn't allow the change; EACCES for access that the file doesn't allow
 * @see mprotect(2)
 */
export function* mprotect(mm: MmStruct, start: VirtAddr, length: number, prot: number): Sleeps<void> {
  const access = prot & ~(Prot.GROWSDOWN | Prot.GROWSUP);
  if ((prot & Prot.GROWSUP) !== 0 || (access & ~KNOWN_PROT) !== 0)
    throw new KernelError("EINVAL", `protection 0x${prot.toString(16)} has bits that mean nothing here`);
  if (!isAligned(start, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${start.toString(16)} is not the address of a page`);
  if (length === 0) return;
  yield* mm.mmapLock.downWrite();
  try {
    const end = (start + alignUp(length, PAGE_SIZE)) as VirtAddr;
    const grows = (prot & Prot.GROWSDOWN) !== 0;
    yield* protectRange(mm, grows ? stackStart(mm, start, end) : start, end, protFlags(access));
  } finally {
    mm.mmapLock.upWrite();
  }
}

function stackStart(mm: MmStruct, start: VirtAddr, end: VirtAddr): VirtAddr {
  const vma = mm.vmas.findFrom(start);
  if (!vma || vma.start >= end) throw hole(start);
  if ((vma.flags & VmFlag.GROWSDOWN) !== 0) return vma.start;
  throw new KernelError("EINVAL", `${describeVma(vma)} is no stack: leave out PROT_GROWSDOWN`);
}

function* protectRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, access: number): Sleeps<void> {
  for (let at = start; at < end;) {
    const vma = mm.vmas.at(at);
    if (!vma) throw hole(at);
    const flags = (vma.flags & ~VM_ACCESS_FLAGS) | access;
    checkAllowed(vma, flags);
    const stop = Math.min(vma.end, end) as VirtAddr;
    yield* mprotectFixup(vma, at, stop, flags);
    at = stop;
  }
}

function hole(address: VirtAddr): KernelError {
  return new KernelError("ENOMEM", `nothing is mapped at 0x${address.toString(16)}`);
}

/** Checks new access bits against the MAY bits, which mmap() set once for all. */
function checkAllowed(vma: Vma, flags: number): void {
  // Each MAY bit is four places above the access bit that it allows.
  if ((flags & ~(flags >> 4) & VM_ACCESS_FLAGS) === 0) return;
  throw new KernelError("EACCES", `${describeVma(vma)} can't get that protection: open the file for writing`);
}

/** Changes the part of one mapping that lies in the range. @see mprotect_fixup() */
function* mprotectFixup(vma: Vma, start: VirtAddr, end: VirtAddr, wanted: number): Sleeps<void> {
  const { mm, flags: old } = vma;
  if (wanted === old) return;
  const pages = (end - start) / PAGE_SIZE;
  const promised = chargeWritable(vma, wanted, pages);
  const flags = promised ? wanted | VmFlag.ACCOUNT : wanted;
  let changed: Vma;
  try {
    changed = yield* vmaModify(vma, start, end, { flags });
  } catch (error) {
    if (promised) mm.vm.commit.uncharge(pages);
    throw error;
  }
  changed.flags = flags;
  yield* changeProtection(changed, start, end);
  // A private locked mapping becomes writable: its pages are copied now rather than at the first write.
  if (
    (old & (VmFlag.WRITE | VmFlag.SHARED | VmFlag.LOCKED)) === VmFlag.LOCKED &&
    (flags & VmFlag.WRITE) !== 0
  )
    yield* populateQuietly(changed, start, end);
  vmStatAccount(mm, old, -pages);
  vmStatAccount(mm, flags, pages);
}

/**
 * Charges pages that become private writable, which counts in Committed_AS and RLIMIT_DATA.
 *
 * @returns whether they were charged
 */
function chargeWritable({ mm, flags: old }: Vma, flags: number, pages: number): boolean {
  if ((flags & VmFlag.WRITE) === 0) return false;
  if (mayExpandVm(mm, old, pages)) checkExpansion(mm, flags, pages);
  const counted = VmFlag.ACCOUNT | VmFlag.WRITE | VmFlag.HUGETLB | VmFlag.SHARED | VmFlag.NORESERVE;
  if ((old & counted) !== 0) return false;
  mm.vm.commit.charge(mm, pages);
  return true;
}
