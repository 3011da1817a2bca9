// Unmapping a range: clears its entries and drops the pages, swap slots and device pages that they held. Dirty and
// accessed bits are transferred to pages of files first. The caller has notified the range. Kernel counterparts:
// unmap_page_range(), zap_pte_range() in mm/memory.c.
import { condResched, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import {
  ENTRIES,
  EntryKind,
  entryKind,
  entryPage,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  NO_ENTRY,
  PMD_SIZE,
  Pte,
  swapDevice,
} from "@hetmem/page-table";
import { setPageDirty } from "../file/dirty.ts";
import { zapHugePmd } from "../huge/zap-huge.ts";
import { markPageAccessed } from "../lru/mark-accessed.ts";
import { type MmStruct, Rss } from "../mm-struct.ts";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import { pageRemoveRmap } from "../rmap/map-counts.ts";
import { munlockVmaPage } from "../vma/mlock-page.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import { isVmHugetlbPage, type Vma } from "../vma/vma.ts";

/**
 * Pages of one table to be put as a batch. zapEntries() is atomic, so the buffer is empty between its calls.
 *
 * @see struct mmu_gather
 */
const GATHERED_PAGES = new Int32Array(ENTRIES);

/** Whether to unmap a page. Without it every entry is cleared. @see struct zap_details */
export type ShouldZap = (page: Page) => boolean;

/**
 * Clears the entries in [start, end) of a mapping. The mmap lock is held, at least for reading, or the rmap lock.
 *
 * @param shouldZap returns false for a page to be left mapped. With it, entries without pages stay, too: truncation
 *   spares private copies
 * @see unmap_page_range()
 */
export function* zapPageRange(vma: Vma, start: VirtAddr, end: VirtAddr, shouldZap?: ShouldZap): Sleeps<void> {
  if (isVmHugetlbPage(vma)) return yield* vma.mm.vm.hugetlb.zapRange(vma, start, end);
  const { mm } = vma;
  const { pageTable } = mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const region = at - (at % PMD_SIZE);
    const stop = Math.min(end, region + PMD_SIZE) as VirtAddr;
    const pmd = pageTable.findPmd(at);
    if ((pageTable.flags(pmd) & Pte.table) === 0) yield* zapHugePmd(vma, at, stop, shouldZap);
    const table = pageTable.tableUnder(pmd);
    if (table !== NO_ENTRY) {
      const first = table + (at - region) / 4096;
      zapEntries(vma, first, first + (stop - at) / 4096, shouldZap);
    }
    at = stop;
    yield condResched;
  }
}

/** Clears consecutive entries of one table. Atomic. @see zap_pte_range() */
function zapEntries(vma: Vma, first: number, last: number, shouldZap: ShouldZap | undefined): void {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  // Not when the whole mapping goes: munlockVmaPages() has cleared the flag before.
  const locked = (vma.flags & VmFlag.LOCKED) !== 0;
  let gathered = 0;
  for (let entry = first; entry < last; entry++) {
    const flags = pageTable.flags(entry);
    if (flags === 0) continue;
    const value = pageTable.value(entry);
    if ((flags & (Pte.present | Pte.special | Pte.devmap)) !== Pte.present) {
      zapOther(vma, entry, value, flags, shouldZap);
      continue;
    }
    const page = entryPage(value);
    if (shouldZap !== undefined && !shouldZap(page)) continue;
    pageTable.clear(entry);
    const head = vm.memmap.compoundHead(page);
    if ((vm.memmap.mapping(head) & MAPPING_ANON) !== 0) countRss(mm, Rss.anon, -1);
    else zapFilePage(vma, head, flags);
    pageRemoveRmap(vm, page);
    if (locked) munlockVmaPage(head, vma);
    GATHERED_PAGES[gathered++] = head;
  }
  vm.pages.putBatch(GATHERED_PAGES, gathered);
}

/** Transfers dirty and accessed bits of an entry to its page, which is one of a file or a device. */
function zapFilePage(vma: Vma, head: Page, flags: number): void {
  const { mm } = vma;
  if ((flags & Pte.dirty) !== 0) setPageDirty(mm.vm, head);
  if ((flags & Pte.accessed) !== 0 && (vma.flags & VmFlag.SEQ_READ) === 0) markPageAccessed(mm.vm, head);
  countRss(mm, rssKind(mm, head), -1);
}

/** Clears an entry that isn't present or maps no counted page. @see should_zap_page() */
function zapOther(
  vma: Vma,
  entry: number,
  value: number,
  flags: number,
  shouldZap: ShouldZap | undefined,
): void {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const kind = entryKind(flags);
  if ((flags & Pte.present) !== 0) {
    pageTable.clear(entry);
  } else if (kind === EntryKind.swapinError || kind === EntryKind.hwpoison) {
    if (shouldZap === undefined) pageTable.clear(entry);
  } else if (kind === EntryKind.swap) {
    if (shouldZap !== undefined) return;
    countRss(mm, Rss.swapEntries, -1);
    pageTable.clear(entry);
    vm.swap.free(swapDevice(flags), value);
  } else {
    const page = entryPage(value);
    if (shouldZap !== undefined && !shouldZap(page)) return;
    pageTable.clear(entry);
    if (isMigration(flags)) {
      countRss(mm, rssKind(mm, page), -1);
    } else if (isDevicePrivate(flags) || isDeviceExclusive(flags)) {
      countRss(mm, rssKind(mm, page), -1);
      if (isDevicePrivate(flags)) {
        pageRemoveRmap(vm, page);
        munlockVmaPage(page, vma);
      }
      vm.memmap.putPage(page);
    }
  }
}

/** Index of the rss counter of a page. @see mm_counter() */
export function rssKind({ vm: { memmap } }: MmStruct, page: Page): number {
  const head = memmap.compoundHead(page);
  if ((memmap.mapping(head) & MAPPING_ANON) !== 0) return Rss.anon;
  return memmap.test(head, PageFlag.swapbacked) ? Rss.shmem : Rss.file;
}

function countRss(mm: MmStruct, kind: number, by: number): void {
  mm.rss[kind] = (mm.rss[kind] as number) + by;
}
