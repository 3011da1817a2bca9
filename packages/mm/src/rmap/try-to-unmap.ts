// Takes a page out of every page table that maps it, so that it can be reclaimed: entries name its swap slot from then
// on, are empty for a page of a file, and say that the memory is bad where it is. Kernel counterpart: try_to_unmap() in
// mm/rmap.c.
import { KernelBug, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { describePage, PageFlag } from "@hetmem/page";
import { deviceOfEntry, EntryKind, NO_ENTRY, Pte, slotOfEntry, swapFlags } from "@hetmem/page-table";
import { setPageDirty } from "../file/dirty.ts";
import { Rss } from "../mm-struct.ts";
import { rssKind } from "../unmap/zap.ts";
import type { Vm } from "../vm.ts";
import { mlockVmaPage, munlockVmaPage } from "../vma/mlock-page.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { pageTryShareAnonRmap } from "./anon-exclusive.ts";
import { MAPPING_ANON } from "./anon-vma.ts";
import { pageRemoveRmap } from "./map-counts.ts";
import { pageMapped, presentEntry } from "./mapped-entry.ts";
import { rmapWalk } from "./rmap-walk.ts";

/** Takes one entry from a page. @returns false when the page has to stay mapped there */
type UnmapEntry = (vma: Vma, entry: number, page: Page) => boolean;

/**
 * Unmaps a page that somebody holds locked and referenced. An anonymous one is in the swap cache, unless it may simply
 * be dropped. It stays where it is locked in memory, or pinned.
 *
 * @returns whether nobody maps it any more
 * @throws KernelBug for a compound page, and for an anonymous one that has no swap slot and needs one
 * @see try_to_unmap()
 */
export function* tryToUnmap(vm: Vm, page: Page): Sleeps<boolean> {
  return yield* unmapWith(vm, page, unmapEntry);
}

/** The same wherever it is locked in memory: for a page that is bad, and can be read again. @see TTU_IGNORE_MLOCK */
export function* tryToUnmapLocked(vm: Vm, page: Page): Sleeps<boolean> {
  return yield* unmapWith(vm, page, unmapEvenLocked);
}

/** The same for a page whose memory is bad: whoever touches it gets a signal. Locked memory is no exception. @see TTU_HWPOISON */
export function* tryToUnmapPoisoned(vm: Vm, page: Page): Sleeps<boolean> {
  return yield* unmapWith(vm, page, poisonEntry);
}

function* unmapWith(vm: Vm, page: Page, unmap: UnmapEntry): Sleeps<boolean> {
  const { memmap } = vm;
  if (memmap.test(page, PageFlag.head | PageFlag.tail))
    throw new KernelBug(`split it before it is unmapped: ${describePage(memmap, page)}`);
  if (memmap.mapcount(page) === 0) return true;
  yield* rmapWalk(vm, page, function* (vma, address) {
    return (yield* unmapOne(vma, address, page, unmap)) && pageMapped(vm, page);
  });
  return memmap.mapcount(page) === 0;
}

/** @returns false when the page has to stay mapped @see try_to_unmap_one() */
function* unmapOne(vma: Vma, address: VirtAddr, page: Page, unmap: UnmapEntry): Sleeps<boolean> {
  const { mm } = vma;
  const end = (address + 4096) as VirtAddr;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.Clear };
  yield* invalidateRangeStart(range);
  const entry = presentEntry(mm.pageTable, address, page);
  const unmapped = entry === NO_ENTRY || unmap(vma, entry, page);
  yield* invalidateRangeEnd(range);
  return unmapped;
}

function unmapEntry(vma: Vma, entry: number, page: Page): boolean {
  if ((vma.flags & VmFlag.LOCKED) === 0) return unmapEvenLocked(vma, entry, page);
  // It was missed when the mapping was locked, or it would not have come here.
  mlockVmaPage(page, vma);
  return false;
}

function unmapEvenLocked(vma: Vma, entry: number, page: Page): boolean {
  const { mm } = vma;
  mm.updateHiwaterRss();
  const anon = (mm.vm.memmap.mapping(page) & MAPPING_ANON) !== 0;
  return anon ? unmapAnonymous(vma, entry, page) : unmapToNothing(vma, entry, page);
}

function unmapAnonymous(vma: Vma, entry: number, page: Page): boolean {
  const { memmap } = vma.mm.vm;
  const swapbacked = memmap.test(page, PageFlag.swapbacked);
  if (swapbacked !== memmap.test(page, PageFlag.swapcache))
    throw new KernelBug(`unmapped without a swap slot: ${describePage(memmap, page)}`);
  if (swapbacked) return unmapToSwap(vma, entry, page);
  // madvise(MADV_FREE): nobody wants it, if nobody has written to it since or is about to.
  transferDirty(vma, entry, page);
  if (memmap.refcount(page) === 1 + memmap.mapcount(page) && !memmap.test(page, PageFlag.dirty))
    return unmapToNothing(vma, entry, page);
  memmap.set(page, PageFlag.swapbacked);
  return false;
}

/** The entry names the page's slot from now on. */
function unmapToSwap(vma: Vma, entry: number, page: Page): boolean {
  const { mm } = vma;
  const { vm, pageTable, rss } = mm;
  const { memmap } = vm;
  const exclusive = memmap.test(page, PageFlag.anonExclusive);
  if (exclusive && !pageTryShareAnonRmap(vm, page)) return false;
  const had = transferDirty(vma, entry, page);
  const swapped = memmap.private(page);
  const [device, slot] = [deviceOfEntry(swapped), slotOfEntry(swapped)];
  vm.swap.duplicate(device, slot);
  rss[Rss.anon] = (rss[Rss.anon] as number) - 1;
  rss[Rss.swapEntries] = (rss[Rss.swapEntries] as number) + 1;
  const flags = swapFlags(device) | (had & Pte.softDirty) | (exclusive ? Pte.exclusive : 0);
  pageTable.set(entry, slot, flags);
  release(vma, page);
  return true;
}

/** The entry is empty from now on. */
function unmapToNothing(vma: Vma, entry: number, page: Page): boolean {
  const { mm } = vma;
  transferDirty(vma, entry, page);
  mm.pageTable.clear(entry);
  const kind = rssKind(mm, page);
  mm.rss[kind] = (mm.rss[kind] as number) - 1;
  release(vma, page);
  return true;
}

function poisonEntry(vma: Vma, entry: number, page: Page): boolean {
  const { mm } = vma;
  mm.updateHiwaterRss();
  transferDirty(vma, entry, page);
  const kind = rssKind(mm, page);
  mm.rss[kind] = (mm.rss[kind] as number) - 1;
  mm.pageTable.set(entry, page, EntryKind.hwpoison);
  release(vma, page);
  return true;
}

/** What the cpu noted in the entry, the page must know when the entry goes. @returns the entry's flags */
function transferDirty({ mm }: Vma, entry: number, page: Page): number {
  const flags = mm.pageTable.flags(entry);
  if ((flags & Pte.dirty) !== 0) setPageDirty(mm.vm, page);
  return flags;
}

/** The entry's hold on the page. The caller has one more. */
function release(vma: Vma, page: Page): void {
  const { vm } = vma.mm;
  pageRemoveRmap(vm, page);
  munlockVmaPage(page, vma);
  vm.memmap.putPage(page);
}
