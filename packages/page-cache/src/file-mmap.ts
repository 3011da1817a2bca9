// Faults on mappings of a file. A fault finds the page, or reads it with some pages around it, and returns it locked.
// Neighbours that are in memory are mapped with it, as far as that needs no waiting (fault-around). Kernel
// counterparts: filemap_fault(), filemap_map_pages() and filemap_page_mkwrite() in mm/filemap.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue, NO_INDEX } from "@hetmem/kernel/lib";
import { countMmEvent, type FaultContext, type Vma, VmFault, VmFlag, type VmOperations } from "@hetmem/mm";
import { setFilePte } from "@hetmem/mm/fault";
import { type AddressSpace, setPageDirty } from "@hetmem/mm/file";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { VmEvent } from "@hetmem/zone";
import { findGetPage, lockPageOf, unlockAndPut } from "./filemap.ts";
import { inodeOf } from "./inode.ts";
import { grabPage, lockUptodate, readAhead, READAHEAD_PAGES } from "./read-page.ts";

/** Operations of a mapping of a disk file. @see generic_file_vm_ops */
export const fileVmOps: VmOperations = {
  fault: filemapFault,
  mapPages: filemapMapPages,
  pageMkwrite: filemapPageMkwrite,
};

/** The file that a VMA maps. @throws KernelBug if the VMA maps no pages of a file */
export function mappingOf({ file, start }: Vma): AddressSpace {
  if (!file?.mapping) throw new KernelBug(`mapping 0x${start.toString(16)} has no pages of a file`);
  return file.mapping;
}

/**
 * Finds the page of a fault. A page that isn't in memory is read, with some pages around it; the fault is a major one
 * then.
 *
 * @returns LOCKED, with fault.page referenced and locked; SIGBUS behind the end of the file, or if the page can't be
 *   read; OOM
 * @see filemap_fault()
 */
function* filemapFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, pgoff } = fault;
  const mapping = mappingOf(vma);
  const { vm } = mapping;
  const host = inodeOf(mapping);
  if (pgoff >= host.pages) return VmFault.SIGBUS;
  let major = 0;
  let page = findGetPage(mapping, pgoff);
  // Ends: only a truncation removes a page here, and a page behind the new end of the file is not read again.
  for (;;) {
    if (page === NULL_PAGE) {
      if (major === 0) countMmEvent(vma.mm, VmEvent.pgmajfault);
      major = VmFault.MAJOR;
      page = yield* bringIn(mapping, fault);
      if (page === NULL_PAGE) return VmFault.OOM;
    }
    const result = yield* lockUptodate(mapping, page);
    if (result === "unreadable") return VmFault.SIGBUS;
    if (result === "locked") break;
    page = findGetPage(mapping, pgoff);
  }
  // A truncation sets the size first and then removes pages under their lock: check the size again under the lock.
  if (pgoff >= host.pages) {
    unlockAndPut(vm, page);
    return VmFault.SIGBUS;
  }
  fault.page = page;
  return major | VmFault.LOCKED;
}

/**
 * Maps the pages [first, last] of the file that are uptodate and not locked (fault-around). Atomic: a page that would
 * have to be waited for is left out. All of them must be in the page table of the fault.
 *
 * @param first page index in the file
 * @param last page index in the file, inclusive
 * @returns NOPAGE if the page of the fault was mapped, else 0
 * @see filemap_map_pages()
 */
export function filemapMapPages(fault: FaultContext, first: number, last: number): VmFault {
  const { vma, pgoff, entry } = fault;
  const mapping = mappingOf(vma);
  const { pages, vm } = mapping;
  const host = inodeOf(mapping);
  const { pageTable } = vma.mm;
  const end = Math.min(last, host.pages - 1);
  let result: VmFault = 0;
  for (let index = pages.find(first, end); index !== NO_INDEX; index = pages.find(index + 1, end)) {
    const found = pages.load(index);
    const at = entry + index - pgoff;
    if (isValue(found) || pageTable.flags(at) !== 0 || !isReady(vm.memmap.flags(found as Page))) continue;
    vm.memmap.getPage(found as Page);
    setFilePte(vma, at, found as Page, 0);
    if (index === pgoff) result = VmFault.NOPAGE;
  }
  return result;
}

/**
 * Dirties a page before a read-only entry of a shared mapping becomes writable.
 *
 * @returns LOCKED, or NOPAGE if the page has left the file
 * @see filemap_page_mkwrite()
 */
function* filemapPageMkwrite({ vma, page }: FaultContext): Sleeps<VmFault> {
  const mapping = mappingOf(vma);
  const { vm } = mapping;
  vm.memmap.getPage(page);
  if (!(yield* lockPageOf(mapping, page))) return VmFault.NOPAGE;
  vm.memmap.putPage(page);
  setPageDirty(vm, page);
  return VmFault.LOCKED;
}

/**
 * Reads the page of a fault and pages around it.
 *
 * @returns the page, referenced, or NULL_PAGE without memory
 * @see do_sync_mmap_readahead()
 */
function* bringIn(mapping: AddressSpace, { vma, pgoff }: FaultContext): Sleeps<Page> {
  const { invalidateLock } = mapping;
  if (!invalidateLock.tryDownRead()) yield* invalidateLock.downRead();
  const first = (vma.flags & VmFlag.SEQ_READ) !== 0 ? pgoff : pgoff - READAHEAD_PAGES / 2;
  if ((vma.flags & VmFlag.RAND_READ) === 0) yield* readAhead(mapping, first, READAHEAD_PAGES, vma.mm);
  const page = yield* grabPage(mapping, pgoff, vma.mm);
  invalidateLock.upRead();
  return page;
}

function isReady(flags: number): boolean {
  return (flags & (PageFlag.uptodate | PageFlag.locked | PageFlag.hwpoison)) === PageFlag.uptodate;
}
