// The functions with which drivers fill their mappings: with bare frames, with pages of their own, and with
// ZONE_DEVICE pages. A driver calls them in mmap() for the whole mapping, or in fault() for one page. Kernel
// counterparts: remap_pfn_range(), vm_insert_page(), vmf_insert_pfn() and vmf_insert_mixed() in mm/memory.c.
import { bugOn, isAligned, KernelError, type Page, PAGE_SIZE, type Pfn, type VirtAddr } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import { NO_ENTRY, Pte, specialFlags, specialPfn, specialValue } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { VmFault } from "../fault/vm-fault.ts";
import { Rss } from "../mm-struct.ts";
import { pageAddFileRmap, pageAnon } from "../rmap/map-counts.ts";
import { vmaPageProt } from "./page-prot.ts";
import { isCowMapping, VmFlag } from "./vm-flags.ts";
import { describeVma, type Vma } from "./vma.ts";

const KERNEL_PAGE_FLAGS = PageFlag.slab | PageFlag.table | PageFlag.buddy | PageFlag.offline;

/**
 * Maps consecutive frames without counting struct pages, as for the registers of a device. Called in a driver's
 * mmap(), with the mmap lock held for writing. After an error nothing is mapped.
 *
 * @param start first address, page-aligned
 * @param frame pfn that `start` maps
 * @param length bytes; the last page counts whole
 * @throws KernelError EINVAL for a start inside a page, or a part of a private writable mapping; ENOMEM when memory
 *   for a page table is missing
 * @see remap_pfn_range()
 */
export function remapPfnRange(vma: Vma, start: VirtAddr, frame: Pfn, length: number): void {
  if (!isAligned(start, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${start.toString(16)} is not the address of a page`);
  const end = start + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  bugOn(start < vma.start || end > vma.end, `frames are mapped outside of ${describeVma(vma)}`);
  if (isCowMapping(vma.flags)) {
    // vm_normal_page() tells a copied page from a frame by the pfn expected at its address, which follows from pgoff.
    if (start !== vma.start || end !== vma.end)
      throw new KernelError("EINVAL", `frames must fill all of a private ${describeVma(vma)}`);
    vma.pgoff = frame;
  }
  vma.flags |= VmFlag.IO | VmFlag.PFNMAP | VmFlag.DONTEXPAND | VmFlag.DONTDUMP;
  for (let at: number = start; at < end; at += PAGE_SIZE) {
    if (mapFrame(vma, at as VirtAddr, (frame + (at - start) / PAGE_SIZE) as Pfn)) continue;
    for (let back: number = start; back < at; back += PAGE_SIZE) unmapFrame(vma, back as VirtAddr);
    throw new KernelError("ENOMEM", `no memory for the page tables of ${describeVma(vma)}`);
  }
}

/**
 * Maps a page of a driver, and takes a reference and a mapcount on it.
 *
 * @throws KernelError EFAULT for an address outside the mapping; EINVAL for a free, anonymous or kernel page; ENOMEM
 *   when memory for a page table is missing; EBUSY where an entry exists already
 * @see vm_insert_page()
 */
export function vmInsertPage(vma: Vma, address: VirtAddr, page: Page): void {
  const { mm } = vma;
  const { memmap } = mm.vm;
  if (address < vma.start || address >= vma.end)
    throw new KernelError("EFAULT", `0x${address.toString(16)} is outside of ${describeVma(vma)}`);
  if (memmap.refcount(page) === 0 || memmap.test(page, KERNEL_PAGE_FLAGS) || pageAnon(mm.vm, page))
    throw new KernelError("EINVAL", `${describePage(memmap, page)} is no page that a driver may map`);
  if ((vma.flags & VmFlag.MIXEDMAP) === 0) {
    bugOn((vma.flags & VmFlag.PFNMAP) !== 0, `a page among frames that nobody counts: ${describeVma(vma)}`);
    vma.flags |= VmFlag.MIXEDMAP;
  }
  const entry = mm.pageTable.ensure(address);
  if (entry === NO_ENTRY)
    throw new KernelError("ENOMEM", `no memory for the page tables of ${describeVma(vma)}`);
  if (mm.pageTable.flags(entry) !== 0)
    throw new KernelError("EBUSY", `0x${address.toString(16)} of ${describeVma(vma)} is mapped already`);
  mapCounted(vma, entry, page, 0);
}

/**
 * Serves a fault with a bare frame. No struct page is counted.
 *
 * @returns NOPAGE when the frame is mapped, SIGBUS for an address outside the mapping, OOM when memory for a page
 *   table is missing
 * @see vmf_insert_pfn()
 */
export function vmfInsertPfn(vma: Vma, address: VirtAddr, frame: Pfn): VmFault {
  const kinds = vma.flags & (VmFlag.PFNMAP | VmFlag.MIXEDMAP);
  bugOn(kinds !== VmFlag.PFNMAP && kinds !== VmFlag.MIXEDMAP, `frames aren't for ${describeVma(vma)}`);
  bugOn(kinds === VmFlag.PFNMAP && isCowMapping(vma.flags), `frames in a private ${describeVma(vma)}`);
  if (address < vma.start || address >= vma.end) return VmFault.SIGBUS;
  const { pageTable } = vma.mm;
  const entry = pageTable.ensure(address);
  if (entry === NO_ENTRY) return VmFault.OOM;
  if (pageTable.flags(entry) === 0) mapFrame(vma, address, frame);
  return VmFault.NOPAGE;
}

/**
 * Serves a fault in a MIXEDMAP mapping. A frame of System RAM counts on its struct page. A ZONE_DEVICE page is held
 * by its pagemap, and a frame without a struct page isn't counted.
 *
 * @param written the access is a write: the entry becomes dirty and writable
 * @returns NOPAGE when the frame is mapped, SIGBUS for an address outside the mapping, OOM when memory for a page
 *   table is missing
 * @see vmf_insert_mixed(), vmf_insert_mixed_mkwrite()
 */
export function vmfInsertMixed(vma: Vma, address: VirtAddr, frame: Pfn, written: boolean): VmFault {
  const { pageTable, vm } = vma.mm;
  bugOn((vma.flags & VmFlag.MIXEDMAP) === 0, `${describeVma(vma)} isn't one of frames and pages`);
  if (address < vma.start || address >= vma.end) return VmFault.SIGBUS;
  const entry = pageTable.ensure(address);
  if (entry === NO_ENTRY) return VmFault.OOM;
  const flags = pageTable.flags(entry);
  const bits = written ? writtenBits(vma) : 0;
  if (flags !== 0) {
    if (written && mapsFrame(vma, entry, frame)) pageTable.setFlags(entry, flags | Pte.accessed | bits);
  } else if (!vm.memmap.pfnValid(frame)) {
    mapFrame(vma, address, frame);
    pageTable.setFlags(entry, pageTable.flags(entry) | bits);
  } else {
    const page = vm.memmap.pfnToPage(frame);
    if (vm.memmap.zoneOf(page) === ZoneType.Device)
      pageTable.set(entry, page, newEntry(vma) | Pte.devmap | bits);
    else mapCounted(vma, entry, page, bits);
  }
  return VmFault.NOPAGE;
}

/**
 * Whether an entry maps the frame. An entry of another frame, such as the zero page of a hole, must stay read-only.
 * @see insert_pfn()
 */
function mapsFrame({ mm: { pageTable, vm } }: Vma, entry: number, frame: Pfn): boolean {
  const [value, flags] = [pageTable.value(entry), pageTable.flags(entry)];
  if ((flags & Pte.present) === 0) return false;
  if ((flags & Pte.special) !== 0) return specialPfn(value, flags) === frame;
  return vm.memmap.pfnValid(frame) && vm.memmap.pfnToPage(frame) === value;
}

/** @returns false when memory for a page table is missing */
function mapFrame(vma: Vma, address: VirtAddr, frame: Pfn): boolean {
  const { pageTable } = vma.mm;
  const entry = pageTable.ensure(address);
  if (entry === NO_ENTRY) return false;
  bugOn(pageTable.flags(entry) !== 0, `0x${address.toString(16)} is mapped already`);
  pageTable.set(entry, specialValue(frame), specialFlags(frame, newEntry(vma)));
  return true;
}

function unmapFrame({ mm: { pageTable } }: Vma, address: VirtAddr): void {
  pageTable.clear(pageTable.find(address));
}

/** @see insert_page_into_pte_locked() */
function mapCounted(vma: Vma, entry: number, page: Page, bits: number): void {
  const { mm } = vma;
  const { memmap } = mm.vm;
  memmap.getPage(memmap.compoundHead(page));
  const kind = memmap.test(page, PageFlag.swapbacked) ? Rss.shmem : Rss.file;
  mm.rss[kind] = (mm.rss[kind] as number) + 1;
  pageAddFileRmap(mm.vm, page);
  mm.pageTable.set(entry, page, newEntry(vma) | bits);
}

function newEntry(vma: Vma): number {
  return Pte.present | Pte.accessed | vmaPageProt(vma);
}

/** @see maybe_mkwrite() */
function writtenBits({ flags }: Vma): number {
  return Pte.dirty | Pte.softDirty | ((flags & VmFlag.WRITE) !== 0 ? Pte.write : 0);
}
