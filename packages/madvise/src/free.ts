// Discarding memory on a process's advice. MADV_DONTNEED drops the pages at once. MADV_FREE lets reclaim drop them,
// unless the process writes to them before. Kernel counterparts: madvise_dontneed_free() and madvise_free_pte_range()
// in mm/madvise.c, mark_page_lazyfree() in mm/swap.c.
import {
  alignDown,
  condResched,
  isAligned,
  KernelError,
  type Page,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import {
  countPageEvent,
  describeVma,
  isVmHugetlbPage,
  Rss,
  trylockPage,
  unlockPage,
  type Vm,
  type Vma,
  VmFlag,
  zapPageRange,
} from "@hetmem/mm";
import { totalMapcount } from "@hetmem/mm/huge";
import { pageAnon } from "@hetmem/mm/rmap";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, entryPage, NO_ENTRY, PMD_SIZE, Pte, swapDevice } from "@hetmem/page-table";
import { VmEvent, ZoneType } from "@hetmem/zone";
import { splitAdvised } from "./split-advised.ts";

/**
 * Drops the pages of a part of a mapping. Private anonymous memory reads as zeros afterwards. The mmap lock is held
 * for reading.
 *
 * @param which "unlocked" refuses locked mappings, as MADV_DONTNEED does; "any" takes them, as MADV_DONTNEED_LOCKED
 *   does
 * @throws KernelError EINVAL for a mapping of a device, for a locked one, or for a start inside a huge page of the
 *   pool
 * @see madvise_dontneed_single_vma()
 */
export function* madviseDontneed(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  which: "unlocked" | "any",
): Sleeps<void> {
  refuse(vma, which === "any" ? VmFlag.PFNMAP : VmFlag.PFNMAP | VmFlag.LOCKED);
  const stop = isVmHugetlbPage(vma) ? wholeHugePages(vma, start, end) : end;
  if (stop === start) return;
  const range: MmuNotifierRange = { mm: vma.mm, start, end: stop, event: MmuNotifyEvent.Clear };
  vma.mm.updateHiwaterRss();
  yield* invalidateRangeStart(range);
  yield* zapPageRange(vma, start, stop);
  yield* invalidateRangeEnd(range);
}

/**
 * Lets reclaim discard the pages of a part of an anonymous mapping until they are written again. The mmap lock is
 * held for reading.
 *
 * @throws KernelError EINVAL for a mapping of a file or a device, or a locked one
 * @see madvise_free_single_vma()
 */
export function* madviseFree(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  refuse(vma, VmFlag.PFNMAP | VmFlag.LOCKED);
  if (!vma.anonymous)
    throw new KernelError("EINVAL", `${describeVma(vma)} is not anonymous: use MADV_DONTNEED`);
  const { pageTable } = vma.mm;
  const range: MmuNotifierRange = { mm: vma.mm, start, end, event: MmuNotifyEvent.Clear };
  vma.mm.updateHiwaterRss();
  yield* invalidateRangeStart(range);
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const stop = Math.min(end, at - (at % PMD_SIZE) + PMD_SIZE) as VirtAddr;
    yield* splitAdvised(vma, at, stop);
    freeRegion(vma, at, stop);
    at = stop;
    yield condResched;
  }
  yield* invalidateRangeEnd(range);
}

/**
 * Moves a clean anonymous page to the inactive file list, from which reclaim drops it without swapping.
 *
 * @see mark_page_lazyfree()
 */
export function markPageLazyfree(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  const flags = memmap.flags(page);
  const wanted = PageFlag.lru | PageFlag.swapbacked;
  if ((flags & (wanted | PageFlag.swapcache | PageFlag.unevictable)) !== wanted) return;
  lru.remove(page);
  memmap.clear(page, PageFlag.active | PageFlag.referenced | PageFlag.swapbacked);
  lru.add(page);
  countPageEvent(vm, page, VmEvent.pglazyfree, 1 << memmap.compoundOrder(page));
}

/**
 * End of the last huge page of the pool that lies wholly in the range. A partial one keeps its contents.
 *
 * @see 8ebe0a5eaaeb
 */
function wholeHugePages(vma: Vma, start: VirtAddr, end: VirtAddr): VirtAddr {
  if (!isAligned(start, PMD_SIZE))
    throw new KernelError(
      "EINVAL",
      `${describeVma(vma)} has huge pages: 0x${start.toString(16)} is inside one`,
    );
  return alignDown(end, PMD_SIZE) as VirtAddr;
}

function refuse(vma: Vma, forbidden: number): void {
  if ((vma.flags & forbidden) === 0) return;
  const why = (vma.flags & VmFlag.PFNMAP) !== 0 ? "is a device's" : "is locked: use munlock()";
  throw new KernelError("EINVAL", `${describeVma(vma)} ${why}`);
}

/** Frees the entries of one 2 MiB. @see madvise_free_pte_range() */
function freeRegion(vma: Vma, start: VirtAddr, end: VirtAddr): void {
  const { pageTable } = vma.mm;
  const pmd = pageTable.findPmd(start);
  const table = pageTable.tableUnder(pmd);
  if (table === NO_ENTRY) {
    // A huge page that could not be split is freed only if the range covers it.
    if (end - start === PMD_SIZE && isMappedOnce(vma, pmd)) freePresent(vma, pmd);
    return;
  }
  const first = table + (start % PMD_SIZE) / 4096;
  const last = first + (end - start) / 4096;
  for (let entry = first; entry < last; entry++) freeEntry(vma, entry);
}

/** Whether this is the only mapping of a huge page. The contents of a shared one must stay. */
function isMappedOnce({ mm: { pageTable, vm } }: Vma, pmd: number): boolean {
  return totalMapcount(vm.memmap, entryPage(pageTable.value(pmd))) === 1;
}

function freeEntry(vma: Vma, entry: number): void {
  const { pageTable, vm, rss } = vma.mm;
  const flags = pageTable.flags(entry);
  if (flags === 0) return;
  if ((flags & Pte.present) !== 0) {
    // Small entries of a compound page: the page was not split, and its other parts may be in use.
    if (vm.memmap.compoundOrder(vm.memmap.compoundHead(entryPage(pageTable.value(entry)))) === 0)
      freePresent(vma, entry);
    return;
  }
  const kind = entryKind(flags);
  if (kind === EntryKind.swap) {
    const slot = pageTable.value(entry);
    pageTable.clear(entry);
    rss[Rss.swapEntries] = (rss[Rss.swapEntries] as number) - 1;
    vm.swap.free(swapDevice(flags), slot);
  } else if (kind === EntryKind.hwpoison || kind === EntryKind.swapinError) {
    pageTable.clear(entry);
  }
}

/** Frees a present entry, small or huge. */
function freePresent(vma: Vma, entry: number): void {
  const { pageTable, vm } = vma.mm;
  const flags = pageTable.flags(entry);
  if ((flags & (Pte.present | Pte.special | Pte.devmap)) !== Pte.present) return;
  const page = entryPage(pageTable.value(entry));
  if (vm.memmap.zoneOf(page) === ZoneType.Device || !becomeClean(vm, page)) return;
  if ((flags & (Pte.accessed | Pte.dirty)) !== 0)
    pageTable.setFlags(entry, flags & ~(Pte.accessed | Pte.dirty));
  if (pageAnon(vm, page)) markPageLazyfree(vm, page);
}

/**
 * Makes a page clean. A page that other processes map, or that can't leave the swap cache now, is left alone.
 *
 * @returns whether the page is clean
 */
function becomeClean({ memmap, swap }: Vm, page: Page): boolean {
  if (!memmap.test(page, PageFlag.swapcache | PageFlag.dirty)) return true;
  if (!trylockPage(memmap, page)) return false;
  const cached = memmap.test(page, PageFlag.swapcache);
  const clean = memmap.mapcount(page) <= 1 && (!cached || swap.freeSwap(page));
  if (clean) memmap.clear(page, PageFlag.dirty);
  unlockPage(memmap, page);
  return clean;
}
