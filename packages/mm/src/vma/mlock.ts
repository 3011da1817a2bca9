// mlock(), munlock(), mlockall() and munlockall(): mappings are split at the ends of the range, present pages go to
// the unevictable list, and absent ones are faulted in. mlock-page.ts counts the locked mappings of each page. Kernel
// counterpart: mm/mlock.c.
import {
  alignDown,
  alignUp,
  condResched,
  KernelError,
  PAGE_SIZE,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte, TASK_SIZE } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { mmPopulate } from "../faultin/populate.ts";
import type { MmStruct } from "../mm-struct.ts";
import { Cap } from "../process/credentials.ts";
import { Mcl, MLOCK_ONFAULT } from "./map-flags.ts";
import { mlockPage, munlockPage } from "./mlock-page.ts";
import { checkMayLock } from "./commit.ts";
import { mmPopulateQuietly } from "./populate.ts";
import { vmaModify } from "./split.ts";
import { VM_LOCKED_MASK, VM_SPECIAL, VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/**
 * Locks a range into memory, and faults its pages in.
 *
 * @param length bytes; every page that the range touches is locked
 * @param flags 0, or MLOCK_ONFAULT to lock pages when they are first touched
 * @throws KernelError EINVAL for unknown flags; EPERM when RLIMIT_MEMLOCK is 0; ENOMEM over RLIMIT_MEMLOCK, or for a
 *   hole, in which case the mappings before it are locked; EAGAIN when the pages can't be allocated
 * @see mlock2(2)
 */
export function* mlock(mm: MmStruct, start: VirtAddr, length: number, flags = 0): Sleeps<void> {
  if ((flags & ~MLOCK_ONFAULT) !== 0)
    throw new KernelError("EINVAL", `mlock2 flags 0x${flags.toString(16)} have bits that mean nothing`);
  checkMayLock(mm);
  const onFault = (flags & MLOCK_ONFAULT) === 0 ? 0 : VmFlag.LOCKONFAULT;
  const [first, end] = wholePages(start, length);
  yield* mm.mmapLock.downWrite();
  try {
    checkMemlock(mm, first, end);
    yield* lockRange(mm, first, end, VmFlag.LOCKED | onFault);
  } finally {
    mm.mmapLock.upWrite();
  }
  yield* populateOrFail(mm, first, end - first);
}

/**
 * Unlocks a range.
 *
 * @param length bytes; every page that the range touches is unlocked
 * @throws KernelError ENOMEM for a hole, when the mappings before it are unlocked
 * @see munlock(2)
 */
export function* munlock(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  const [first, end] = wholePages(start, length);
  yield* mm.mmapLock.downWrite();
  try {
    yield* lockRange(mm, first, end, 0);
  } finally {
    mm.mmapLock.upWrite();
  }
}

/**
 * Locks all mappings of an address space, all future ones, or both.
 *
 * @param flags Mcl bits
 * @throws KernelError EINVAL for flags that ask for nothing, EPERM and ENOMEM as mlock()
 * @see mlockall(2)
 */
export function* mlockall(mm: MmStruct, flags: number): Sleeps<void> {
  if ((flags & ~(Mcl.CURRENT | Mcl.FUTURE | Mcl.ONFAULT)) !== 0 || (flags & (Mcl.CURRENT | Mcl.FUTURE)) === 0)
    throw new KernelError(
      "EINVAL",
      `mlockall flags 0x${flags.toString(16)} name neither what is nor what will be`,
    );
  checkMayLock(mm);
  const current = (flags & Mcl.CURRENT) !== 0;
  yield* mm.mmapLock.downWrite();
  try {
    if (current && mm.totalVm > memlockPages(mm) && !mm.capable(Cap.IPC_LOCK))
      throw overLimit(mm, mm.totalVm);
    yield* lockAll(mm, flags);
  } finally {
    mm.mmapLock.upWrite();
  }
  if (current) yield* mmPopulateQuietly(mm, 0 as VirtAddr, TASK_SIZE);
}

/** Unlocks all mappings, and future ones. @see munlockall(2) */
export function* munlockall(mm: MmStruct): Sleeps<void> {
  yield* mm.mmapLock.downWrite();
  yield* lockAll(mm, 0);
  mm.mmapLock.upWrite();
}

/** Populates, and turns errors into those that POSIX names for mlock(). @see __mlock_posix_error_return() */
function* populateOrFail(mm: MmStruct, start: VirtAddr, length: number): Sleeps<void> {
  try {
    yield* mmPopulate(mm, start, length);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.errno === "EFAULT")
      throw new KernelError("ENOMEM", `the range can't be reached (${error.reason})`);
    if (error.errno === "ENOMEM")
      throw new KernelError("EAGAIN", `the range is locked but not there (${error.reason})`);
    throw error;
  }
}

function wholePages(start: VirtAddr, length: number): [VirtAddr, VirtAddr] {
  return [alignDown(start, PAGE_SIZE) as VirtAddr, alignUp(start + length, PAGE_SIZE) as VirtAddr];
}

/** Checks RLIMIT_MEMLOCK. Pages of the range that are locked already count once. @see count_mm_mlocked_page_nr() */
function checkMemlock(mm: MmStruct, start: VirtAddr, end: VirtAddr): void {
  let locked = mm.lockedVm + (end - start) / PAGE_SIZE;
  if (locked <= memlockPages(mm) || mm.capable(Cap.IPC_LOCK)) return;
  for (const vma of mm.vmas.within(start, end)) {
    if ((vma.flags & VmFlag.LOCKED) === 0) continue;
    locked -= (Math.min(vma.end, end) - Math.max(vma.start, start)) / PAGE_SIZE;
  }
  if (locked > memlockPages(mm)) throw overLimit(mm, locked);
}

function memlockPages(mm: MmStruct): number {
  return Math.floor(mm.rlimit("memlock") / PAGE_SIZE);
}

function overLimit(mm: MmStruct, pages: number): KernelError {
  return new KernelError(
    "ENOMEM",
    `${pages} locked pages are more than RLIMIT_MEMLOCK allows, ${memlockPages(mm)}`,
  );
}

/** @see apply_vma_lock_flags() */
function* lockRange(mm: MmStruct, start: VirtAddr, end: VirtAddr, lock: number): Sleeps<void> {
  for (let at = start; at < end;) {
    const vma = mm.vmas.at(at);
    if (!vma) throw new KernelError("ENOMEM", `nothing is mapped at 0x${at.toString(16)}`);
    const stop = Math.min(vma.end, end) as VirtAddr;
    yield* mlockFixup(vma, at, stop, lock);
    at = stop;
  }
}

/** Locks or unlocks all mappings. Whole mappings need no split, so this doesn't fail. @see apply_mlockall_flags() */
function* lockAll(mm: MmStruct, flags: number): Sleeps<void> {
  const onFault = (flags & Mcl.ONFAULT) === 0 ? 0 : VmFlag.LOCKONFAULT;
  const lock = VmFlag.LOCKED | onFault;
  mm.defFlags = (mm.defFlags & ~VM_LOCKED_MASK) | ((flags & Mcl.FUTURE) === 0 ? 0 : lock);
  if (flags !== 0 && (flags & Mcl.CURRENT) === 0) return;
  for (const vma of mm.vmas.within(0 as VirtAddr, TASK_SIZE as VirtAddr))
    yield* mlockFixup(vma, vma.start, vma.end, flags === 0 ? 0 : lock);
}

/** Locks or unlocks the part of one mapping. Mappings of devices are never locked. @see mlock_fixup() */
function* mlockFixup(vma: Vma, start: VirtAddr, end: VirtAddr, lock: number): Sleeps<void> {
  const { mm, flags: old } = vma;
  const flags = (old & ~VM_LOCKED_MASK) | lock;
  if (flags === old || (old & VM_SPECIAL) !== 0) return;
  const part = yield* vmaModify(vma, start, end, { flags });
  const [was, is] = [(old & VmFlag.LOCKED) !== 0, (flags & VmFlag.LOCKED) !== 0];
  if (was !== is) mm.lockedVm += ((is ? 1 : -1) * (end - start)) / PAGE_SIZE;
  // Locked before and after: the pages have been counted already.
  if (was && is) part.flags = flags;
  else yield* lockPages(part, start, end, flags);
}

/**
 * Unlocks the pages of a mapping that is about to be unmapped. A page that no other mapping locks becomes evictable.
 * @see munlock_vma_pages_all()
 */
export function* munlockVmaPages(vma: Vma): Sleeps<void> {
  if ((vma.flags & VmFlag.LOCKED) !== 0)
    yield* lockPages(vma, vma.start, vma.end, vma.flags & ~VM_LOCKED_MASK);
}

/** @see mlock_vma_pages_range() */
function* lockPages(vma: Vma, start: VirtAddr, end: VirtAddr, flags: number): Sleeps<void> {
  const { pageTable } = vma.mm;
  // VM_IO marks the walk: mlockVmaPage() must not count a page that this walk counts.
  vma.flags = (flags & VmFlag.LOCKED) === 0 ? flags : flags | VmFlag.IO;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const stop = Math.min(end, at - (at % PMD_SIZE) + PMD_SIZE) as VirtAddr;
    lockRegion(vma, at, stop);
    at = stop;
    yield condResched;
  }
  vma.flags = flags;
}

/** Locks or unlocks the pages of one 2 MiB. Small entries of a compound page are skipped. @see mlock_pte_range() */
function lockRegion(vma: Vma, start: VirtAddr, end: VirtAddr): void {
  const { pageTable, vm } = vma.mm;
  const apply = (vma.flags & VmFlag.LOCKED) === 0 ? munlockPage : mlockPage;
  const pmd = pageTable.findPmd(start);
  const table = pageTable.tableUnder(pmd);
  if (table === NO_ENTRY) {
    if ((pageTable.flags(pmd) & (Pte.present | Pte.special)) === Pte.present)
      apply(vm, entryPage(pageTable.value(pmd)));
    return;
  }
  const first = table + (start % PMD_SIZE) / PAGE_SIZE;
  const last = first + (end - start) / PAGE_SIZE;
  for (let entry = first; entry < last; entry++) {
    if ((pageTable.flags(entry) & (Pte.present | Pte.special)) !== Pte.present) continue;
    const page = entryPage(pageTable.value(entry));
    if (vm.memmap.zoneOf(page) === ZoneType.Device || vm.memmap.compoundHead(page) !== page) continue;
    if (vm.memmap.compoundOrder(page) === 0) apply(vm, page);
  }
}
