// Unmapping a page from every page table, for reclaim and for bad memory. Its entries become swap entries for an
// anonymous page, empty for a page of a file, and hwpoison entries for a page whose memory is bad. Kernel
// counterpart: try_to_unmap() in mm/rmap.c.
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

/** Unmaps one entry of a page. @returns false when the page has to stay mapped there */
type UnmapEntry = (vma: Vma, entry: number, page: Page) => boolean;

/**
 * Unmaps a page. The caller has it locked and holds a reference. An anonymous page is in the swap cache, unless
 * MADV_FREE has made it discardable. The page stays mapped by locked mappings, and if it is pinned.
 *
 * @returns whether no entry maps the page any more
 * @throws KernelBug for a compound page, and for an anonymous page that needs a swap slot and has none
 * @see try_to_unmap()
 */
export function* tryToUnmap(vm: Vm, page: Page): Sleeps<boolean> {
  return yield* unmapWith(vm, page, unmapEntry);
}

/** tryToUnmap() from locked mappings, too: for a bad page that can be read again. @see TTU_IGNORE_MLOCK */
export function* tryToUnmapLocked(vm: Vm, page: Page): Sleeps<boolean> {
  return yield* unmapWith(vm, page, unmapIgnoringMlock);
}

/**
 * tryToUnmap() for bad memory, from locked mappings, too: an access to the page gets SIGBUS afterwards.
 *
 * @see TTU_HWPOISON
 */
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

/**
 * Unmaps the page from one mapping.
 *
 * @returns false when the page has to stay mapped
 * @see try_to_unmap_one()
 */
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
  if ((vma.flags & VmFlag.LOCKED) === 0) return unmapIgnoringMlock(vma, entry, page);
  // The page isn't marked mlocked yet, or reclaim would not have isolated it.
  mlockVmaPage(page, vma);
  return false;
}

function unmapIgnoringMlock(vma: Vma, entry: number, page: Page): boolean {
  const { mm } = vma;
  mm.updateHiwaterRss();
  const anon = (mm.vm.memmap.mapping(page) & MAPPING_ANON) !== 0;
  return anon ? unmapAnonymous(vma, entry, page) : unmapAndClear(vma, entry, page);
}

function unmapAnonymous(vma: Vma, entry: number, page: Page): boolean {
  const { memmap } = vma.mm.vm;
  const swapbacked = memmap.test(page, PageFlag.swapbacked);
  if (swapbacked !== memmap.test(page, PageFlag.swapcache))
    throw new KernelBug(`unmapped without a swap slot: ${describePage(memmap, page)}`);
  if (swapbacked) return unmapToSwap(vma, entry, page);
  // MADV_FREE: the page is discarded if it is clean and has no references beyond its mappings and the caller's.
  transferDirty(vma, entry, page);
  if (memmap.refcount(page) === 1 + memmap.mapcount(page) && !memmap.test(page, PageFlag.dirty))
    return unmapAndClear(vma, entry, page);
  memmap.set(page, PageFlag.swapbacked);
  return false;
}

/** Replaces the entry by a swap entry for the page's slot. */
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

/** Clears the entry. */
function unmapAndClear(vma: Vma, entry: number, page: Page): boolean {
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

/** Transfers the dirty bit from the entry to the page. @returns the entry's flags */
function transferDirty({ mm }: Vma, entry: number, page: Page): number {
  const flags = mm.pageTable.flags(entry);
  if ((flags & Pte.dirty) !== 0) setPageDirty(mm.vm, page);
  return flags;
}

/** Drops the entry's mapcount and reference. The caller holds another reference. */
function release(vma: Vma, page: Page): void {
  const { vm } = vma.mm;
  pageRemoveRmap(vm, page);
  munlockVmaPage(page, vma);
  vm.memmap.putPage(page);
}
