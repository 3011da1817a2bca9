// The copy of page table entries in fork(): private writable pages become read-only in parent and child, so that the
// first write copies them. Pinned pages are copied at once. Pages of files without private copies aren't copied;
// faults map them again. Kernel counterparts: copy_page_range(), copy_pte_range() in mm/memory.c.
import { condResched, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import {
  EntryKind,
  entryKind,
  entryPage,
  isDeviceExclusive,
  isDevicePrivate,
  isMigration,
  KIND_MASK,
  NO_ENTRY,
  PMD_SIZE,
  Pte,
  swapDevice,
} from "@hetmem/page-table";
import { allocAnonymous, mapNewAnonymous } from "../fault/anon.ts";
import { ensureEntry } from "../fault/handle-mm-fault.ts";
import { pageMaybeDmaPinned } from "../faultin/pin-count.ts";
import { copyHugePmd } from "../huge/copy-huge.ts";
import { type MmStruct, Rss } from "../mm-struct.ts";
import { tryRestoreExclusivePte } from "../rmap/device-exclusive.ts";
import { pageDupRmap } from "../rmap/map-counts.ts";
import { rssKind } from "../unmap/zap.ts";
import { isCowMapping, VmFlag } from "../vma/vm-flags.ts";
import { isVmHugetlbPage, type Vma } from "../vma/vma.ts";

/**
 * Copies the entries of a mapping to its copy in a child. The parent's mmap lock is held for writing; no other task
 * knows the child's address space yet. After an error, entries copied so far stay in the child.
 *
 * @param to the child's mapping
 * @param from the parent's mapping
 * @throws KernelError ENOMEM when there is no memory for the child's page tables or copies, EBUSY when a driver holds
 *   a page that its device uses exclusively
 * @see copy_page_range()
 */
export function* copyPageRange(to: Vma, from: Vma): Sleeps<void> {
  if (!needsCopy(from)) return;
  const cow = isCowMapping(from.flags);
  const range: MmuNotifierRange = {
    mm: from.mm,
    start: from.start,
    end: from.end,
    event: MmuNotifyEvent.ProtectionPage,
  };
  if (cow) yield* invalidateRangeStart(range);
  // Odd while entries are write-protected: gup-fast drops a pin taken meanwhile and retries. @see 57efa1fe5957
  from.mm.writeProtectSeq++;
  try {
    if (isVmHugetlbPage(from)) yield* to.mm.vm.hugetlb.copyRange(to, from);
    else yield* copyRegions(to, from, cow);
  } finally {
    from.mm.writeProtectSeq++;
    if (cow) yield* invalidateRangeEnd(range);
  }
}

/** Whether entries must be copied at all. Pages of a file come back by faults in the child. @see vma_needs_copy() */
function needsCopy({ flags, anonVma }: Vma): boolean {
  return anonVma !== undefined || (flags & (VmFlag.PFNMAP | VmFlag.MIXEDMAP)) !== 0;
}

function* copyRegions(to: Vma, from: Vma, cow: boolean): Sleeps<void> {
  const { pageTable } = from.mm;
  const { end } = from;
  for (let at = pageTable.nextPopulated(from.start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const region = at - (at % PMD_SIZE);
    const stop = Math.min(end, region + PMD_SIZE) as VirtAddr;
    const pmd = pageTable.findPmd(at);
    if ((pageTable.flags(pmd) & Pte.table) === 0) yield* copyHugePmd(to, from, at);
    const table = pageTable.tableUnder(pmd);
    if (table !== NO_ENTRY) yield* copyTable(to, from, at, stop, cow);
    at = stop;
    yield condResched;
  }
}

/** Copies the part of a mapping that one page table covers. */
function* copyTable(to: Vma, from: Vma, start: VirtAddr, end: VirtAddr, cow: boolean): Sleeps<void> {
  const source = from.mm.pageTable.find(start);
  const target = yield* ensureEntry(to.mm, start);
  if (target === NO_ENTRY)
    throw new KernelError("ENOMEM", "no memory for the child's page tables: the process can't fork");
  const count = (end - start) / 4096;
  for (let i = 0; i < count; i++) {
    i += copyAnonRun(to.mm, from.mm, source + i, target + i, count - i, cow);
    if (i === count) break;
    if (copyEntry(to, from, source + i, target + i, cow)) continue;
    yield* copyPinnedPage(to, from, (start + i * 4096) as VirtAddr, source + i, target + i);
  }
}

/**
 * The fast path: copies entries as long as they are present and map small anonymous pages. Atomic.
 *
 * @returns number of entries copied before the first of another kind
 */
function copyAnonRun(
  to: MmStruct,
  from: MmStruct,
  source: number,
  target: number,
  count: number,
  cow: boolean,
): number {
  const { pageTable, vm } = from;
  const { memmap } = vm;
  if (from.hasPinned) return 0;
  const { words } = pageTable;
  const kept = cow ? ~Pte.write : ~0;
  const given = cow ? ~(Pte.write | Pte.accessed) : ~(Pte.accessed | Pte.dirty);
  let done = 0;
  for (; done < count; done++) {
    const at = (source + done) << 1;
    const flags = words[at | 1] as number;
    if ((flags & (Pte.present | Pte.special | Pte.devmap)) !== Pte.present) break;
    const page = words[at] as Page;
    if (!memmap.shareAnon(page, PageFlag.anonExclusive)) break;
    pageTable.setFlags(source + done, flags & kept);
    to.pageTable.set(target + done, page, flags & given);
  }
  to.rss[Rss.anon] = (to.rss[Rss.anon] as number) + done;
  return done;
}

/** Copies one entry. @returns false when its page is pinned, and the child needs a copy now */
function copyEntry(to: Vma, from: Vma, source: number, target: number, cow: boolean): boolean {
  const { pageTable } = from.mm;
  let flags = pageTable.flags(source);
  if (flags === 0) return true;
  if (isDeviceExclusive(flags)) {
    if (!tryRestoreExclusivePte(from, source)) throw deviceHoldsPage();
    flags = pageTable.flags(source);
  }
  const value = pageTable.value(source);
  if ((flags & Pte.present) === 0) {
    copyNonPresent(to.mm, from.mm, source, target, cow);
    return true;
  }
  if ((flags & (Pte.special | Pte.devmap)) === 0) {
    if (!sharePage(to.mm, from.mm, entryPage(value))) return false;
  }
  if (cow && (flags & Pte.write) !== 0) {
    flags &= ~Pte.write;
    pageTable.setFlags(source, flags);
  }
  to.mm.pageTable.set(target, value, flags & ~(cow ? Pte.accessed : Pte.accessed | Pte.dirty));
  return true;
}

/** Maps a page in the child, too. @returns false when the page is pinned */
function sharePage(to: MmStruct, { vm, hasPinned }: MmStruct, page: Page): boolean {
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  if (memmap.test(page, PageFlag.anonExclusive)) {
    if (hasPinned && pageMaybeDmaPinned(vm, head)) return false;
    memmap.clear(page, PageFlag.anonExclusive);
  }
  memmap.getPage(head);
  pageDupRmap(vm, page);
  countRss(to, rssKind(to, head));
  return true;
}

/** Copies a swap, migration or device entry. @see copy_nonpresent_pte() */
function copyNonPresent(to: MmStruct, from: MmStruct, source: number, target: number, cow: boolean): void {
  const { pageTable, vm } = from;
  let flags = pageTable.flags(source);
  const value = pageTable.value(source);
  const kind = entryKind(flags);
  if (kind === EntryKind.swap) {
    vm.swap.duplicate(swapDevice(flags), value);
    flags &= ~Pte.exclusive;
    countRss(to, Rss.swapEntries);
  } else if (isMigration(flags)) {
    countRss(to, rssKind(to, entryPage(value)));
    if (cow && kind !== EntryKind.migrationRead) flags = (flags & ~KIND_MASK) | EntryKind.migrationRead;
  } else if (isDevicePrivate(flags)) {
    const page = entryPage(value);
    vm.memmap.getPage(page);
    vm.memmap.clear(page, PageFlag.anonExclusive);
    pageDupRmap(vm, page);
    countRss(to, rssKind(to, page));
    if (cow) flags = (flags & ~KIND_MASK) | EntryKind.devicePrivateRead;
  }
  if (flags !== pageTable.flags(source)) pageTable.setFlags(source, flags);
  to.pageTable.set(target, value, flags);
}

/**
 * Copies a pinned page for the child. A device may write to the pinned page, so it must stay the parent's.
 *
 * @see copy_present_page()
 */
function* copyPinnedPage(
  to: Vma,
  from: Vma,
  address: VirtAddr,
  source: number,
  target: number,
): Sleeps<void> {
  const { vm, pageTable } = from.mm;
  const page = yield* allocAnonymous(to, address);
  if (page === NULL_PAGE)
    throw new KernelError("ENOMEM", "no memory for a copy of a pinned page: the process can't fork");
  // Reclaim takes pages in spite of the mmap lock, and may have unmapped this one during the allocation.
  const flags = pageTable.flags(source);
  if ((flags & (Pte.present | Pte.special)) !== Pte.present) {
    vm.memmap.putPage(page);
    copyEntry(to, from, source, target, true);
    return;
  }
  vm.memmap.contents.copy(page, entryPage(pageTable.value(source)) as Page);
  mapNewAnonymous(vm, to, address, target, page);
}

function countRss(mm: MmStruct, kind: number): void {
  mm.rss[kind] = (mm.rss[kind] as number) + 1;
}

function deviceHoldsPage(): KernelError {
  return new KernelError("EBUSY", "a device is just taking a page for itself: try the fork again");
}
