// A write to a huge page that is mapped read-only: who has it alone gets it back writable, others a copy. The pool may
// have no page for that. A child pays for it with SIGBUS; the process that made the mapping was promised its pages, and
// gets this one by taking it from its children. Kernel counterpart: hugetlb_wp() and unmap_ref_private() in mm/hugetlb.c.
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
 * Handles a write, or a pin that must not be shared. The file's fault mutex is held.
 *
 * @param pmd the entry, which maps a page that may not be written
 */
export function* hugetlbWp(vma: Vma, address: VirtAddr, pmd: number, flags: number): Sleeps<VmFault> {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const unshares = (flags & FaultFlag.UNSHARE) !== 0;
  if (!unshares && (vma.flags & VmFlag.WRITE) === 0) return VmFault.SIGSEGV;
  if ((vma.flags & VmFlag.MAYSHARE) !== 0) {
    if (!unshares) allowWrites(vma, pmd);
    return 0;
  }
  const old = entryPage(pageTable.value(pmd));
  const had = pageTable.flags(pmd);
  const unchanged = (): boolean => pageTable.value(pmd) === old && pageTable.flags(pmd) === had;
  // Ends: once the children have lost the page it is mapped here alone, or the entry has changed.
  for (;;) {
    if (compoundMapcount(memmap, old) === 1) {
      if (!memmap.test(old, PageFlag.anonExclusive)) pageMoveAnonRmap(vm, old, vma);
      if (!unshares) allowWrites(vma, pmd);
      return 0;
    }
    memmap.getPage(old);
    // The page that is there was the one that had been promised: not even the owner has a right to another.
    const fresh = yield* allocHugetlbPage(vma, address);
    if (fresh !== NULL_PAGE) yield* replace(vma, address, pmd, fresh, unshares ? 0 : WRITTEN, unchanged);
    memmap.putPage(old);
    if (fresh !== NULL_PAGE) return 0;
    if (!ownsReserve(vma)) return VmFault.SIGBUS;
    yield* takeFromChildren(vma, address, old);
    if (!unchanged()) return 0;
  }
}

/** @see set_huge_ptep_writable() */
function allowWrites({ mm: { pageTable } }: Vma, pmd: number): void {
  pageTable.setFlags(pmd, pageTable.flags(pmd) | WRITTEN | Pte.accessed);
}

/** A copy takes the place of the page that the entry maps, if it still does: else it goes back to the pool. */
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

/** Whoever loses a page so gets SIGBUS at the next touch: it must not read zeros. @see unmap_ref_private() */
function* takeFromChildren(vma: Vma, address: VirtAddr, page: Page): Sleeps<void> {
  const { mapping } = hugetlbInode(vma);
  const pgoff = vma.pgoffOf(address);
  if (!mapping.iMmapRwsem.tryDownRead()) yield* mapping.iMmapRwsem.downRead();
  try {
    for (const other of mapping.iMmap.overlapping(pgoff, pgoff))
      if (other !== vma && !ownsReserve(other)) yield* takeFrom(other, other.addressOf(pgoff), page);
  } finally {
    mapping.iMmapRwsem.upRead();
  }
}

function* takeFrom(vma: Vma, start: VirtAddr, page: Page): Sleeps<void> {
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
