// Faults on mappings of a file: the page of the file is found, or read with some around it, and handed over locked.
// Pages that are in memory already are mapped by the dozen without being waited for. Kernel counterparts:
// filemap_fault(), filemap_map_pages() and filemap_page_mkwrite() in mm/filemap.c.
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

/** What mappings of a file on a disk do. @see generic_file_vm_ops */
export const fileVmOps: VmOperations = {
  fault: filemapFault,
  mapPages: filemapMapPages,
  pageMkwrite: filemapPageMkwrite,
};

/** The file of a mapping. @throws KernelBug for a mapping of something else */
export function mappingOf({ file, start }: Vma): AddressSpace {
  if (!file?.mapping) throw new KernelBug(`mapping 0x${start.toString(16)} has no pages of a file`);
  return file.mapping;
}

/**
 * Finds the page of a fault, reading it and some around it if need be: a major fault then.
 *
 * @returns LOCKED, with the page referenced and locked; SIGBUS behind the end of the file, or when it can't be read; OOM
 * @see filemap_fault()
 */
export function* filemapFault(fault: FaultContext): Sleeps<VmFault> {
  const { vma, pgoff } = fault;
  const mapping = mappingOf(vma);
  const { vm } = mapping;
  const host = inodeOf(mapping);
  if (pgoff >= host.pages) return VmFault.SIGBUS;
  let major = 0;
  let page = findGetPage(mapping, pgoff);
  // Ends: only a truncation takes a page away, and behind the end of the file nothing is brought in twice.
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
  // Truncation takes pages away under their lock, and sets the size before: see what it is now.
  if (pgoff >= host.pages) {
    unlockAndPut(vm, page);
    return VmFault.SIGBUS;
  }
  fault.page = page;
  return major | VmFault.LOCKED;
}

/**
 * Maps those pages [first, last] of the file that are in memory and ready, around the fault. Atomic: what would have to
 * be waited for is left out. All are reached by the same page table.
 *
 * @returns NOPAGE when the page of the fault itself was among them
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
 * A page that is mapped read-only is about to be written: it is dirty from now on.
 *
 * @returns LOCKED, or NOPAGE when it has left the file
 * @see filemap_page_mkwrite()
 */
export function* filemapPageMkwrite({ vma, page }: FaultContext): Sleeps<VmFault> {
  const mapping = mappingOf(vma);
  const { vm } = mapping;
  vm.memmap.getPage(page);
  if (!(yield* lockPageOf(mapping, page))) return VmFault.NOPAGE;
  vm.memmap.putPage(page);
  setPageDirty(vm, page);
  return VmFault.LOCKED;
}

/** Reads the page of a fault and its surroundings. @returns it, with a reference, or NULL_PAGE @see do_sync_mmap_readahead() */
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
