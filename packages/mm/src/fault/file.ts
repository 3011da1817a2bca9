// Faults of mappings with operations: files, shmem, devices. A read maps what is there already around the address; a
// private write gets a copy; a shared one tells the file first. Kernel counterpart: do_fault() and finish_fault() in
// mm/memory.c.
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

/** Pages that a read fault maps together if they are there: 64 KiB. @see fault_around_bytes */
const FAULT_AROUND_PAGES = 16;
const NOT_A_PAGE: number = VM_FAULT_ERROR | VmFault.NOPAGE | VmFault.RETRY;

/**
 * An empty entry of a mapping with operations. mmap lock held for reading.
 *
 * @returns 0, or MAJOR, when it is filled; NOPAGE when somebody else did that; otherwise why it can't be
 * @see do_fault()
 */
export function* doFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, flags } = fault;
  if (!vma.ops?.fault) return entrySame(fault) ? VmFault.SIGBUS : VmFault.NOPAGE;
  let result: VmFault;
  if ((flags & FaultFlag.WRITE) === 0) result = yield* doReadFault(fault);
  else if ((vma.flags & VmFlag.SHARED) === 0) result = yield* doCowFault(fault);
  else result = yield* doSharedFault(fault);
  // The page is unlocked by now, and its reference is the entry's, or dropped.
  return result & ~VmFault.LOCKED;
}

/**
 * Tells the file that a page, which the fault names and the caller holds a reference on, is going to be written.
 *
 * @returns LOCKED when it may be: the page is locked then. 0: it has left the file; the access is tried again
 * @see do_page_mkwrite()
 */
export function* doPageMkwrite(fault: FaultContext): Sleeps<VmFault> {
  const { vma, page } = fault;
  const { memmap } = vma.mm.vm;
  const result = yield* vma.ops?.pageMkwrite?.(fault) ?? nothingToAsk();
  if ((result & (VM_FAULT_ERROR | VmFault.NOPAGE | VmFault.LOCKED)) !== 0) return result;
  yield* lockPage(memmap, page);
  if (memmap.mapping(page) !== 0) return result | VmFault.LOCKED;
  unlockPage(memmap, page);
  return 0;
}

/** A page of a shared mapping was written through a new entry. It comes locked, and goes unlocked. @see fault_dirty_shared_page() */
export function* faultDirtySharedPage({ vma, page }: FaultContext): Sleeps<void> {
  const { vm } = vma.mm;
  const mapping = vm.mappings.of(vm.memmap, page);
  const dirtied = setPageDirty(vm, page);
  unlockPage(vm.memmap, page);
  if ((dirtied || vma.ops?.pageMkwrite) && mapping?.canWriteback && mapping.ops.balanceDirtyPages)
    yield* mapping.ops.balanceDirtyPages(mapping);
}

/** An empty entry maps a page of a file from now on; the caller's reference becomes the entry's. @see do_set_pte() */
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
  if ((found & NOT_A_PAGE) !== 0) return found;
  const result = found | finishFault(fault);
  unlockPage(vm.memmap, fault.page);
  if ((result & NOT_A_PAGE) !== 0) vm.memmap.putPage(fault.page);
  return result;
}

/** The copy is allocated before the file's page is looked for, since that comes locked. @see do_cow_fault() */
function* doCowFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, address } = fault;
  const { memmap } = vma.mm.vm;
  const copy = yield* allocAnonymous(vma, address);
  if (copy === NULL_PAGE) return VmFault.OOM;
  fault.cowPage = copy;
  const found = yield* callFault(fault);
  if ((found & (NOT_A_PAGE | VmFault.DONE_COW)) !== 0) {
    memmap.putPage(copy);
    return found;
  }
  memmap.contents.copy(copy, fault.page);
  const result = found | finishFault(fault);
  unlockPage(memmap, fault.page);
  memmap.putPage(fault.page);
  if ((result & NOT_A_PAGE) !== 0) memmap.putPage(copy);
  return result;
}

/** @see do_shared_fault() */
function* doSharedFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma } = fault;
  const { memmap } = vma.mm.vm;
  const found = yield* callFault(fault);
  if ((found & NOT_A_PAGE) !== 0) return found;
  if (vma.ops?.pageMkwrite) {
    unlockPage(memmap, fault.page);
    const asked = yield* doPageMkwrite(fault);
    if (asked === 0 || (asked & (VM_FAULT_ERROR | VmFault.NOPAGE)) !== 0) {
      memmap.putPage(fault.page);
      return asked;
    }
  }
  const result = found | finishFault(fault);
  if ((result & NOT_A_PAGE) !== 0) {
    unlockPage(memmap, fault.page);
    memmap.putPage(fault.page);
    return result;
  }
  yield* faultDirtySharedPage(fault);
  return result;
}

/** Asks the mapping for the page. @returns LOCKED with fault.page referenced and locked, or why there is none @see __do_fault() */
function* callFault(fault: FaultContext): Sleeps<VmFault> {
  const { memmap } = fault.vma.mm.vm;
  const result = yield* fault.vma.ops?.fault?.(fault) ?? nothingToAsk();
  if ((result & (NOT_A_PAGE | VmFault.DONE_COW)) !== 0) return result;
  if ((result & VmFault.LOCKED) === 0) yield* lockPage(memmap, fault.page);
  if (!memmap.test(fault.page, PageFlag.hwpoison)) return result | VmFault.LOCKED;
  unlockPage(memmap, fault.page);
  memmap.putPage(fault.page);
  fault.page = NULL_PAGE as Page;
  return VmFault.HWPOISON;
}

/** Puts the page, or the copy of it, into the entry, if that is still empty. @returns NOPAGE when it isn't @see finish_fault() */
function finishFault(fault: FaultContext): VmFault {
  const { vma, address, entry, flags } = fault;
  const isPrivate = (vma.flags & VmFlag.SHARED) === 0;
  // The OOM killer may have taken a copy: what the file says now isn't what the process wrote.
  if (isPrivate && vma.mm.unstable) return VmFault.SIGBUS;
  if (!entrySame(fault)) return VmFault.NOPAGE;
  if (isPrivate && (flags & FaultFlag.WRITE) !== 0)
    mapNewAnonymous(vma.mm.vm, vma, address, entry, fault.cowPage);
  else setFilePte(vma, entry, fault.page, flags);
  return 0;
}

/** Maps what is there within the 64 KiB, the mapping and the page table of the address. @see do_fault_around() */
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

/** Stands for an operation that a mapping doesn't have. */
function* nothingToAsk(): Sleeps<VmFault> {
  return 0;
}
