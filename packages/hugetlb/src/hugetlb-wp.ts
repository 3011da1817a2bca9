// A write to a huge page that is mapped read-only. If no other process maps the page, the entry becomes writable; else
// the process gets a copy. If the pool has no page for the copy, a child gets SIGBUS. The process that made the mapping
// has a reservation for it: the page is unmapped from the children, and stays with that process. Kernel counterpart:
// hugetlb_wp() and unmap_ref_private() in mm/hugetlb.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { FaultFlag, type Vma, VmFault, VmFlag } from "@hetmem/mm";
import { compoundMapcount, hugePmd } from "@hetmem/mm/huge";
import { pageMoveAnonRmap } from "@hetmem/mm/rmap";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { hugetlbInode } from "./hugetlb-inode.ts";
import { copyHugePage, mapHugetlbPage, ownHugetlbPage, unmapHugetlbPage, WRITTEN } from "./hugetlb-page.ts";
import { allocHugetlbPage, keepPage, ownsReserve, privateHugetlb } from "./reservations.ts";

/**
 * Handles a write, or an unshare before a pin. The fault mutex of the file is held.
 *
 * @param address address of the huge page
 * @param pmd number of the entry, which maps a page without write access
 * @param flags FaultFlag bits
 * @returns SIGSEGV if the mapping doesn't allow writes; SIGBUS if the pool has no page for a copy and the process has
 *   no reservation; else 0
 * @see hugetlb_wp()
 */
export function* hugetlbWp(vma: Vma, address: VirtAddr, pmd: number, flags: number): Sleeps<VmFault> {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const unshares = (flags & FaultFlag.UNSHARE) !== 0;
  if (!unshares && (vma.flags & VmFlag.WRITE) === 0) return VmFault.SIGSEGV;
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) {
    if (!unshares) makeWritable(vma, pmd);
    return 0;
  }
  const old = entryPage(pageTable.value(pmd));
  const had = pageTable.flags(pmd);
  const unchanged = (): boolean => pageTable.value(pmd) === old && pageTable.flags(pmd) === had;
  // Ends: when the page is unmapped from the children, this is its only mapping, or the entry has changed.
  for (;;) {
    if (compoundMapcount(memmap, old) === 1) {
      if (!memmap.test(old, PageFlag.anonExclusive)) pageMoveAnonRmap(vm, old, vma);
      if (!unshares) makeWritable(vma, pmd);
      return 0;
    }
    memmap.getPage(old);
    // The page in the entry has used up the reservation: not even the owner has one for the copy.
    const fresh = yield* allocHugetlbPage(vma, address);
    if (fresh !== NULL_PAGE) yield* replace(vma, address, pmd, fresh, unshares ? 0 : WRITTEN, unchanged);
    memmap.putPage(old);
    if (fresh !== NULL_PAGE) return 0;
    if (!ownsReserve(vma)) return VmFault.SIGBUS;
    yield* unmapRefPrivate(vma, address, old);
    if (!unchanged()) return 0;
  }
}

/** Makes an entry writable. @see set_huge_ptep_writable() */
function makeWritable({ mm: { pageTable } }: Vma, pmd: number): void {
  pageTable.setFlags(pmd, pageTable.flags(pmd) | WRITTEN | Pte.accessed);
}

/** Replaces the page of an entry by a copy. If the entry has changed, the new page returns to the pool. */
function* replace(
  vma: Vma,
  address: VirtAddr,
  pmd: number,
  fresh: Page,
  bits: number,
  unchanged: () => boolean,
): Sleeps<void> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const end = (address + PMD_SIZE) as VirtAddr;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.Clear };
  yield* invalidateRangeStart(range);
  if (unchanged()) {
    vm.anonVmas.prepare(vma);
    copyHugePage(vm, fresh, entryPage(pageTable.value(pmd)));
    unmapHugetlbPage(vma, pmd);
    ownHugetlbPage(vm, fresh, vma, address);
    keepPage(vma, address, fresh);
    mapHugetlbPage(vma, pmd, fresh, bits);
  } else {
    vm.memmap.putPage(fresh);
  }
  yield* invalidateRangeEnd(range);
}

/**
 * Unmaps a page from all mappings without a reservation. Their next access is SIGBUS: a new page would read as zeros.
 *
 * @see unmap_ref_private()
 */
function* unmapRefPrivate(vma: Vma, address: VirtAddr, page: Page): Sleeps<void> {
  const { mapping } = hugetlbInode(vma);
  const pgoff = vma.pgoffOf(address);
  if (!mapping.iMmapRwsem.tryDownRead()) yield* mapping.iMmapRwsem.downRead();
  try {
    for (const other of mapping.iMmap.overlapping(pgoff, pgoff))
      if (other !== vma && !ownsReserve(other)) yield* unmapFrom(other, other.addressOf(pgoff), page);
  } finally {
    mapping.iMmapRwsem.upRead();
  }
}

/** Unmaps the page from one mapping, within an invalidation. */
function* unmapFrom(vma: Vma, start: VirtAddr, page: Page): Sleeps<void> {
  const { mm } = vma;
  const { pageTable } = mm;
  const range: MmuNotifierRange = {
    mm,
    start,
    end: (start + PMD_SIZE) as VirtAddr,
    event: MmuNotifyEvent.Clear,
  };
  yield* invalidateRangeStart(range);
  const pmd = hugePmd(pageTable, start);
  const own = privateHugetlb(vma);
  if (own && pmd !== NO_ENTRY && pageTable.value(pmd) === page) {
    own.lostPage = true;
    unmapHugetlbPage(vma, pmd);
  }
  yield* invalidateRangeEnd(range);
}
