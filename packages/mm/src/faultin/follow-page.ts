// The page that an address maps, checked for the intended use. Atomic, with the mmap lock held. Kernel counterparts:
// follow_page_mask(), follow_page_pte(), can_follow_write_pte() in mm/gup.c; gup_must_unshare() in
// include/linux/mm.h; follow_trans_huge_pmd() in mm/huge_memory.c.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte, specialPfn } from "@hetmem/page-table";
import { setPageDirty } from "../file/dirty.ts";
import { markPageAccessed } from "../lru/mark-accessed.ts";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import type { Vm } from "../vm.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import { isVmHugetlbPage, type Vma } from "../vma/vma.ts";
import { Foll } from "./foll.ts";
import { tryGrabPage } from "./pin-count.ts";

/** Answers of followPage() instead of a page. All are below 1, and pages are above 0. */
export const Follow = {
  /** A fault must bring the page in. */
  fault: 0,
  /** The page is shared. A fault must make it exclusive before it can be pinned. @see EMLINK */
  unshare: -1,
  /** A frame without a counted struct page. @see EEXIST */
  noStructPage: -2,
  /** A hole in a core file. @see FOLL_DUMP */
  hole: -3,
  /** The pagemap of a small entry is being torn down, and the entry will be removed. */
  dying: -4,
  /** The refcount would overflow. */
  overflow: -5,
  /** A page of a file on persistent memory, with LONGTERM. */
  fsdax: -6,
  /** A huge entry has to be split into small ones. @see FOLL_SPLIT_PMD */
  split: -7,
  /**
   * The pagemap of a huge entry is being torn down. gup fails instead of waiting, unlike with a small entry.
   *
   * @see follow_devmap_pmd()
   */
  dead: -8,
} as const;

/**
 * The page at an address, with the reference or pin that the flags ask for.
 *
 * @param foll Foll bits
 * @returns the page, or one of Follow
 */
export function followPage(vma: Vma, address: VirtAddr, foll: number): number {
  const { pageTable } = vma.mm;
  const entry = pageTable.find(address);
  if (entry !== NO_ENTRY) return followEntry(vma, entry, 0, foll);
  const pmd = pageTable.findPmd(address);
  if (pmd === NO_ENTRY || (pageTable.flags(pmd) & Pte.huge) === 0) return noPageTable(vma, foll);
  if ((foll & Foll.SPLIT_PMD) !== 0 && isSplittable(vma, pmd)) return Follow.split;
  return followEntry(vma, pmd, Math.floor((address % PMD_SIZE) / 4096), foll);
}

/** Whether a huge entry can be split. Pages of the hugetlb pool and of devices can't. @see pmd_trans_huge() */
function isSplittable(vma: Vma, pmd: number): boolean {
  const flags = vma.mm.pageTable.flags(pmd);
  return (flags & Pte.present) !== 0 && (flags & Pte.devmap) === 0 && !isVmHugetlbPage(vma);
}

/**
 * Whether a page must become exclusive before a read-only pin. Otherwise a later write would copy the page, and the
 * pin would keep the old one.
 *
 * @param foll Foll bits
 * @see gup_must_unshare()
 */
export function mustUnshare({ memmap }: Vm, page: Page, foll: number): boolean {
  if ((foll & (Foll.WRITE | Foll.PIN)) !== Foll.PIN) return false;
  if ((memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) === 0) return false;
  return !memmap.test(page, PageFlag.anonExclusive);
}

/** The page of a present entry. @param subpage index of the page within a huge entry */
function followEntry(vma: Vma, entry: number, subpage: number, foll: number): number {
  const { pageTable, vm } = vma.mm;
  const flags = pageTable.flags(entry);
  if ((flags & Pte.present) === 0) return flags === 0 ? noPageTable(vma, foll) : Follow.fault;
  // A hinting entry faults. FORCE skips that, since the access isn't one of the process.
  if ((flags & Pte.protnone) !== 0 && (foll & Foll.FORCE) === 0) return Follow.fault;
  if ((flags & Pte.special) !== 0) return followSpecial(vma, entry, foll);
  // The flags of a wholly mapped huge page are on its head.
  const owner = entryPage(pageTable.value(entry));
  const page = (owner + subpage) as Page;
  if ((foll & Foll.WRITE) !== 0 && (flags & Pte.write) === 0 && !canWriteForced(vma, owner, flags, foll))
    return Follow.fault;
  if ((flags & Pte.devmap) !== 0) return followDevmap(vma, page, flags, foll);
  if ((flags & Pte.write) === 0 && mustUnshare(vm, owner, foll)) return Follow.unshare;
  return grab(vma, page, flags, foll);
}

/** The zero page counts as a page; other special entries have no struct page. @see follow_pfn_pte() */
function followSpecial(vma: Vma, entry: number, foll: number): number {
  const { pageTable, vm } = vma.mm;
  const flags = pageTable.flags(entry);
  const isZero = specialPfn(pageTable.value(entry), flags) === vm.zeroPfn;
  if ((foll & Foll.WRITE) !== 0 && (flags & Pte.write) === 0) return Follow.fault;
  if ((foll & Foll.DUMP) !== 0) return Follow.hole;
  if (!isZero) return Follow.noStructPage;
  return grab(vma, vm.zeroPage, flags, foll);
}

/**
 * Takes a page of a device. Its pagemap is held while the reference is taken, so that the page can't go away.
 *
 * @see get_dev_pagemap()
 */
function followDevmap(vma: Vma, page: Page, flags: number, foll: number): number {
  const { devices } = vma.mm.vm;
  if ((foll & (Foll.GET | Foll.PIN)) === 0) return Follow.noStructPage;
  if (!devices.tryGetPagemap(page)) return (flags & Pte.huge) !== 0 ? Follow.dead : Follow.dying;
  try {
    if ((foll & Foll.LONGTERM) !== 0 && devices.isFsdax(page)) return Follow.fsdax;
    return grab(vma, page, flags, foll);
  } finally {
    devices.putPagemap(page);
  }
}

function grab(vma: Vma, page: Page, flags: number, foll: number): number {
  const { vm } = vma.mm;
  const { memmap } = vm;
  if ((foll & (Foll.GET | Foll.PIN)) !== 0) {
    // Longterm pins migrate pages afterwards, in the package gup. @see check_and_migrate_movable_pages()
    if (!tryGrabPage(vm, page, 1, foll & ~Foll.LONGTERM)) return Follow.overflow;
    if ((foll & Foll.PIN) !== 0) assertPinnable(vm, page);
  }
  if ((foll & Foll.TOUCH) !== 0) {
    const head = memmap.compoundHead(page);
    if ((foll & Foll.WRITE) !== 0 && (flags & Pte.dirty) === 0) setPageDirty(vm, head);
    markPageAccessed(vm, head);
  }
  return page;
}

/**
 * Checks that a pinned anonymous page is exclusive. A shared page can't have been pinned, and a pinned page is never
 * shared.
 *
 * @see sanity_check_pinned_pages()
 */
export function assertPinnable({ memmap }: Vm, page: Page): void {
  const head = memmap.compoundHead(page);
  if ((memmap.mapping(head) & MAPPING_ANON) === 0) return;
  if (!memmap.test(page, PageFlag.anonExclusive) && !memmap.test(head, PageFlag.anonExclusive))
    throw new KernelBug(`pinned, and others may map it: ${describePage(memmap, page)}`);
}

/**
 * Whether FORCE may write to a read-only private page: only to an exclusive anonymous copy.
 *
 * @see can_follow_write_pte()
 */
function canWriteForced({ flags: vmFlags, mm }: Vma, page: Page, flags: number, foll: number): boolean {
  if ((foll & Foll.FORCE) === 0) return false;
  if ((vmFlags & (VmFlag.MAYSHARE | VmFlag.SHARED | VmFlag.WRITE)) !== 0) return false;
  if ((vmFlags & VmFlag.MAYWRITE) === 0) return false;
  const { memmap } = mm.vm;
  if ((memmap.mapping(memmap.compoundHead(page)) & MAPPING_ANON) === 0) return false;
  if (!memmap.test(page, PageFlag.anonExclusive)) return false;
  // Soft-dirty tracking needs a fault to see the write.
  return (vmFlags & VmFlag.SOFTDIRTY) !== 0 || (flags & Pte.softDirty) !== 0;
}

/** The answer for an empty entry. A core dump leaves out pages that would be zeros. @see no_page_table() */
function noPageTable(vma: Vma, foll: number): number {
  if ((foll & Foll.DUMP) !== 0 && vma.ops?.fault === undefined) return Follow.hole;
  return Follow.fault;
}
