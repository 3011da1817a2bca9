// Splitting a huge entry into a table of 512 entries that map the same pages. The huge page itself isn't split. The
// split can't fail, since its page table was deposited when the entry was made. Kernel counterpart:
// __split_huge_pmd() in mm/huge_memory.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, type PageTable, PMD_SIZE, Pte } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { munlockVmaHuge } from "../vma/mlock-page.ts";
import { isAccessible, VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { HPAGE_PMD_NR, hugeMapcountToParts } from "./huge-counts.ts";

/** The huge entry of an address, or NO_ENTRY. @see pmd_trans_huge() */
export function hugePmd(pageTable: PageTable, address: VirtAddr): number {
  const pmd = pageTable.findPmd(address);
  return pmd !== NO_ENTRY && (pageTable.flags(pmd) & Pte.huge) !== 0 ? pmd : NO_ENTRY;
}

/** First address of the 2 MiB that an address lies in. */
export function hugeAddress(address: VirtAddr): VirtAddr {
  return (address - (address % PMD_SIZE)) as VirtAddr;
}

/** Splits the huge entry of an address, if there is one. The mmap lock is held. @see split_huge_pmd() */
export function* splitHugePmd(vma: Vma, address: VirtAddr): Sleeps<void> {
  const { mm } = vma;
  if (hugePmd(mm.pageTable, address) === NO_ENTRY) return;
  const start = hugeAddress(address);
  const end = (start + PMD_SIZE) as VirtAddr;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Clear };
  yield* invalidateRangeStart(range);
  const pmd = hugePmd(mm.pageTable, address);
  if (pmd !== NO_ENTRY) splitHugePmdCovered(vma, pmd);
  yield* invalidateRangeEnd(range);
}

/**
 * splitHugePmd() in a range that the caller has notified, with the mmap lock or the rmap lock held. Atomic.
 *
 * @see __split_huge_pmd_locked()
 */
export function splitHugePmdCovered(vma: Vma, pmd: number): void {
  const { pageTable, vm } = vma.mm;
  vm.memory.allocator.countEvent(VmEvent.thp_split_pmd, 1);
  // A fault maps pages of files and devices again.
  if (vma.anonymous) populateSmallEntries(vma, pmd);
  else pageTable.clear(pmd);
}

function populateSmallEntries(vma: Vma, pmd: number): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const head = entryPage(pageTable.value(pmd));
  const had = pageTable.flags(pmd);
  if ((had & Pte.dirty) !== 0) memmap.set(head, PageFlag.dirty);
  if (memmap.test(head, PageFlag.anonExclusive)) {
    for (let i = 1; i < HPAGE_PMD_NR; i++) memmap.set((head + i) as Page, PageFlag.anonExclusive);
  }
  // Small entries are counted before the huge one is uncounted, so that the parts never appear unmapped.
  hugeMapcountToParts(vm, head);
  munlockVmaHuge(head, vma);
  pageTable.populateDeposited(pmd);
  const flags = smallEntryFlags(vma, had);
  const first = pageTable.tableUnder(pmd);
  for (let i = 0; i < HPAGE_PMD_NR; i++) pageTable.set(first + i, head + i, flags);
}

/** Flags of the small entries. The dirty bit was transferred to the page, and a NUMA hint is dropped. */
function smallEntryFlags({ flags: vmFlags }: Vma, had: number): number {
  const reach = isAccessible(vmFlags) ? Pte.present : Pte.present | Pte.protnone;
  const kept = had & (Pte.accessed | Pte.softDirty);
  return reach | kept | ((vmFlags & VmFlag.WRITE) !== 0 ? had & Pte.write : 0);
}
