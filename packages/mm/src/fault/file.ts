// Faults of mappings with operations: files, shmem, devices. A read also maps cached pages around the address. A
// private write copies the page. A shared write calls page_mkwrite() first. Kernel counterparts: do_fault() and
// finish_fault() in mm/memory.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { ENTRIES, Pte } from "@hetmem/page-table";
import { setPageDirty } from "../file/dirty.ts";
import { Rss } from "../mm-struct.ts";
import { lockPage, unlockPage } from "../page-lock.ts";
import { pageAddFileRmap } from "../rmap/map-counts.ts";
import { vmaPageProt } from "../vma/page-prot.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { FaultContext, Vma } from "../vma/vma.ts";
import { allocAnonymous, mapNewAnonymous } from "./anon.ts";
import { entrySame } from "./fault-context.ts";
import { FaultFlag, VM_FAULT_ERROR, VmFault } from "./vm-fault.ts";

/**
 * Pages around the address that a read fault maps if they are cached: 64 KiB, the kernel's default.
 *
 * @see fault_around_bytes
 */
const FAULT_AROUND_PAGES = 16;
const NO_PAGE_RESULT: number = VM_FAULT_ERROR | VmFault.NOPAGE | VmFault.RETRY;

/**
 * Handles a fault on an empty entry of a mapping with operations. The mmap lock is held for reading.
 *
 * @returns 0 or MAJOR when the entry is filled; NOPAGE when another task filled it; otherwise an error bit
 * @see do_fault()
 */
export function* doFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, flags } = fault;
  if (!vma.ops?.fault) return entrySame(fault) ? VmFault.SIGBUS : VmFault.NOPAGE;
  let result: VmFault;
  if ((flags & FaultFlag.WRITE) === 0) result = yield* doReadFault(fault);
  else if ((vma.flags & VmFlag.SHARED) === 0) result = yield* doCowFault(fault);
  else result = yield* doSharedFault(fault);
  // The page is unlocked now, and its reference belongs to the entry or was dropped.
  return result & ~VmFault.LOCKED;
}

/**
 * Calls page_mkwrite() before a write to the page in `fault.page`, on which the caller holds a reference.
 *
 * @returns LOCKED with the page locked when the write may go on; 0 when the page was truncated from its file, and the
 *   access must be repeated; otherwise an error bit or NOPAGE
 * @see do_page_mkwrite()
 */
export function* doPageMkwrite(fault: FaultContext): Sleeps<VmFault> {
  const { vma, page } = fault;
  const { memmap } = vma.mm.vm;
  const result = yield* vma.ops?.pageMkwrite?.(fault) ?? absentOperation();
  if ((result & (VM_FAULT_ERROR | VmFault.NOPAGE | VmFault.LOCKED)) !== 0) return result;
  yield* lockPage(memmap, page);
  if (memmap.mapping(page) !== 0) return result | VmFault.LOCKED;
  unlockPage(memmap, page);
  return 0;
}

/**
 * Marks a shared page dirty after a write through a new entry, and unlocks it. The page is locked on entry.
 *
 * @see fault_dirty_shared_page()
 */
export function* faultDirtySharedPage({ vma, page }: FaultContext): Sleeps<void> {
  const { vm } = vma.mm;
  const mapping = vm.mappings.of(vm.memmap, page);
  const dirtied = setPageDirty(vm, page);
  unlockPage(vm.memmap, page);
  if ((dirtied || vma.ops?.pageMkwrite) && mapping?.canWriteback && mapping.ops.balanceDirtyPages)
    yield* mapping.ops.balanceDirtyPages(mapping);
}

/**
 * Maps a page of a file with an empty entry. The caller's reference becomes the entry's.
 *
 * @param entry number of the page table entry
 * @param flags FaultFlag bits; a write makes the entry dirty and writable
 * @see do_set_pte()
 */
export function setFilePte(vma: Vma, entry: number, page: Page, flags: number): void {
  const { mm } = vma;
  const { vm } = mm;
  const kind = vm.memmap.test(page, PageFlag.swapbacked) ? Rss.shmem : Rss.file;
  mm.rss[kind] = (mm.rss[kind] as number) + 1;
  pageAddFileRmap(vm, page, vma);
  mm.pageTable.set(entry, page, vmaPageProt(vma) | Pte.present | Pte.accessed | writtenBits(vma, flags));
}

/** @see do_read_fault() */
function* doReadFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma } = fault;
  const { vm } = vma.mm;
  if (vma.ops?.mapPages) {
    const around = faultAround(fault);
    if (around !== 0) return around;
  }
  const found = yield* callFault(fault);
  if ((found & NO_PAGE_RESULT) !== 0) return found;
  const result = found | finishFault(fault);
  unlockPage(vm.memmap, fault.page);
  if ((result & NO_PAGE_RESULT) !== 0) vm.memmap.putPage(fault.page);
  return result;
}

/** The copy is allocated before the call of fault(), which returns the file's page locked. @see do_cow_fault() */
function* doCowFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, address } = fault;
  const { memmap } = vma.mm.vm;
  const copy = yield* allocAnonymous(vma, address);
  if (copy === NULL_PAGE) return VmFault.OOM;
  fault.cowPage = copy;
  const found = yield* callFault(fault);
  if ((found & (NO_PAGE_RESULT | VmFault.DONE_COW)) !== 0) {
    memmap.putPage(copy);
    return found;
  }
  memmap.contents.copy(copy, fault.page);
  const result = found | finishFault(fault);
  unlockPage(memmap, fault.page);
  memmap.putPage(fault.page);
  if ((result & NO_PAGE_RESULT) !== 0) memmap.putPage(copy);
  return result;
}

/** @see do_shared_fault() */
function* doSharedFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma } = fault;
  const { memmap } = vma.mm.vm;
  const found = yield* callFault(fault);
  if ((found & NO_PAGE_RESULT) !== 0) return found;
  if (vma.ops?.pageMkwrite) {
    unlockPage(memmap, fault.page);
    const asked = yield* doPageMkwrite(fault);
    if (asked === 0 || (asked & (VM_FAULT_ERROR | VmFault.NOPAGE)) !== 0) {
      memmap.putPage(fault.page);
      return asked;
    }
  }
  const result = found | finishFault(fault);
  if ((result & NO_PAGE_RESULT) !== 0) {
    unlockPage(memmap, fault.page);
    memmap.putPage(fault.page);
    return result;
  }
  yield* faultDirtySharedPage(fault);
  return result;
}

/**
 * Calls the mapping's fault().
 *
 * @returns LOCKED with fault.page referenced and locked, or the reason why there is no page
 * @see __do_fault()
 */
function* callFault(fault: FaultContext): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  const result = yield* fault.vma.ops?.fault?.(fault) ?? absentOperation();
  if ((result & (NO_PAGE_RESULT | VmFault.DONE_COW)) !== 0) return result;
  if ((result & VmFault.LOCKED) === 0) yield* lockPage(memmap, fault.page);
  if (!memmap.test(fault.page, PageFlag.hwpoison)) return result | VmFault.LOCKED;
  unlockPage(memmap, fault.page);
  memmap.putPage(fault.page);
  fault.page = NULL_PAGE as Page;
  return VmFault.HWPOISON;
}

/** Maps the page, or its copy, if the entry is still empty. @returns NOPAGE when it isn't @see finish_fault() */
function finishFault(fault: FaultContext): VmFault {
  const { vma, address, entry, flags } = fault;
  const isPrivate = (vma.flags & VmFlag.SHARED) === 0;
  // After the OOM reaper has run, the file's contents may be older than a discarded private copy.
  if (isPrivate && vma.mm.unstable) return VmFault.SIGBUS;
  if (!entrySame(fault)) return VmFault.NOPAGE;
  if (isPrivate && (flags & FaultFlag.WRITE) !== 0)
    mapNewAnonymous(vma.mm.vm, vma, address, entry, fault.cowPage);
  else setFilePte(vma, entry, fault.page, flags);
  return 0;
}

/** Maps cached pages around the address, within the 64 KiB, the mapping and the page table. @see do_fault_around() */
function faultAround(fault: FaultContext): VmFault {
  const { vma, address, pgoff, entry } = fault;
  const slot = entry % ENTRIES;
  const before = Math.min(slot % FAULT_AROUND_PAGES, (address - vma.start) / 4096);
  const first = pgoff - before;
  const behind = Math.min(vma.lastPgoff, first + FAULT_AROUND_PAGES - 1, pgoff + ENTRIES - 1 - slot);
  return vma.ops?.mapPages?.(fault, first, behind) ?? 0;
}

function writtenBits(vma: Vma, flags: number): number {
  if ((flags & FaultFlag.WRITE) === 0) return 0;
  return Pte.dirty | Pte.softDirty | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0);
}

/** Takes the place of an operation that the mapping lacks. */
function* absentOperation(): Sleeps<VmFault> {
  return 0;
}
