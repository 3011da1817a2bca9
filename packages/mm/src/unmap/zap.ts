// Empties the entries of a range and lets go of what they held: pages, swap slots, device pages. Whoever calls this has
// told the notifiers. Kernel counterpart: unmap_page_range(), zap_pte_range() in mm/memory.c.
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

/** Pages of one table that nobody maps any more, on their way to be put. Empty whenever nobody is at it: zapEntries() is atomic. @see struct mmu_gather */
const GATHERED = new Int32Array(ENTRIES);

/** Which entries go: all where absent. */
export type ShouldZap = (page: Page) => boolean;

/**
 * Empties every entry of [start, end) of a mapping. The mmap lock is held, if only for reading, or the rmap's.
 *
 * @param shouldZap spares the pages that it says no to, and what isn't a page: truncation leaves private copies alone
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

/** Empties a run of entries of one table. Atomic. @see zap_pte_range() */
export function zapEntries(vma: Vma, first: number, last: number, shouldZap: ShouldZap | undefined): void {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  // Not where the whole mapping goes: its pages have been unlocked by then.
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
    GATHERED[gathered++] = head;
  }
  vm.pages.putBatch(GATHERED, gathered);
}

/** The page of an entry is one of a file, or of a device: what the cpu noted in the entry goes to the page. */
function zapFilePage(vma: Vma, head: Page, flags: number): void {
  const { mm } = vma;
  if ((flags & Pte.dirty) !== 0) setPageDirty(mm.vm, head);
  if ((flags & Pte.accessed) !== 0 && (vma.flags & VmFlag.SEQ_READ) === 0) markPageAccessed(mm.vm, head);
  countRss(mm, rssKind(mm, head), -1);
}

/** Entries that aren't present, or map no counted page. Those are never copies; what was lost of a page may have been. @see should_zap_page() */
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

/** Which counter a page is in. @see mm_counter() */
export function rssKind({ vm: { memmap } }: MmStruct, page: Page): number {
  const head = memmap.compoundHead(page);
  if ((memmap.mapping(head) & MAPPING_ANON) !== 0) return Rss.anon;
  return memmap.test(head, PageFlag.swapbacked) ? Rss.shmem : Rss.file;
}

function countRss(mm: MmStruct, kind: number, by: number): void {
  mm.rss[kind] = (mm.rss[kind] as number) + by;
}
