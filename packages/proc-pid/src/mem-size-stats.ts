// The counters of smaps for a mapping: bytes that are resident, shared, dirty, referenced or swapped out, and the
// proportional share (PSS) of the process. Kernel counterpart: struct mem_size_stats, smap_gather_stats() in
// fs/proc/task_mmu.c.
import { condResched, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { isVmHugetlbPage, type Vm, type Vma, VmFlag, walkPageVmaSleeping } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { compoundMapcount } from "@hetmem/mm/huge";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import {
  EntryKind,
  entryKind,
  entryPage,
  holdsPage,
  isMigration,
  PMD_SIZE,
  Pte,
  swapDevice,
} from "@hetmem/page-table";
import { partialSwapUsage, shmemMapping, shmemSwapUsage } from "./shmem-swap.ts";

const PAGE_BYTES = 4096;
const HUGE_PAGES = PMD_SIZE / PAGE_BYTES;
/** PSS is counted in 4096ths of a byte, so that shares such as thirds of pages add up. @see PSS_SHIFT */
export const PSS_UNITS: number = 2 ** 12;
const PAGE_PSS = PAGE_BYTES * PSS_UNITS;

/** Counters in bytes; pss… and swapPss in 4096ths of a byte. @see struct mem_size_stats */
export class MemSizeStats {
  resident = 0;
  sharedClean = 0;
  sharedDirty = 0;
  privateClean = 0;
  privateDirty = 0;
  referenced = 0;
  anonymous = 0;
  lazyfree = 0;
  anonymousThp = 0;
  shmemThp = 0;
  fileThp = 0;
  sharedHugetlb = 0;
  privateHugetlb = 0;
  swap = 0;
  pss = 0;
  pssAnon = 0;
  pssFile = 0;
  pssShmem = 0;
  pssDirty = 0;
  pssLocked = 0;
  swapPss = 0;
}

/** Adds the pages of a mapping to the counters. The mmap lock is held for reading. @see smap_gather_stats() */
export function* gatherStats(stats: MemSizeStats, vma: Vma): Sleeps<void> {
  const holes = countShmemSwap(stats, vma);
  const { pageTable } = vma.mm;
  yield* walkPageVmaSleeping(vma, {
    pmdEntry(pmd) {
      if ((pageTable.flags(pmd) & Pte.table) === 0) addHuge(stats, vma, pmd);
      return 0;
    },
    *pteRange(first, address, next) {
      const last = first + (next - address) / PAGE_BYTES;
      for (let entry = first; entry < last; entry++) {
        if (pageTable.flags(entry) !== 0) addEntry(stats, vma, entry);
        else if (holes) addShmemHole(stats, vma, holes, pageTable.addressOf(entry), PAGE_BYTES);
      }
      yield condResched;
      return 0;
    },
    pteHole(address, next) {
      if (holes) addShmemHole(stats, vma, holes, address, next - address);
      return 0;
    },
  });
}

/**
 * Adds the pages of a shmem mapping that are in swap. A private writable mapping may have copies of some of them;
 * there, only those at unmapped addresses count, which the walk finds.
 *
 * @returns the file to look for in holes of the page table; undefined if all is counted
 */
function countShmemSwap(stats: MemSizeStats, vma: Vma): AddressSpace | undefined {
  const mapping = shmemMapping(vma);
  if (!mapping) return undefined;
  const swapped = shmemSwapUsage(vma, mapping);
  if (swapped > 0 && (vma.flags & (VmFlag.SHARED | VmFlag.WRITE)) === VmFlag.WRITE) return mapping;
  stats.swap += swapped * PAGE_BYTES;
  return undefined;
}

/** Adds the pages of a file that are in swap, for a hole of the page table. @see smaps_pte_hole() */
function addShmemHole(
  stats: MemSizeStats,
  vma: Vma,
  { pages }: AddressSpace,
  address: VirtAddr,
  bytes: number,
): void {
  const first = vma.pgoffOf(address);
  stats.swap += partialSwapUsage(pages, first, first + bytes / PAGE_BYTES - 1) * PAGE_BYTES;
}

/** Adds the page of one entry. @see smaps_pte_entry() */
function addEntry(stats: MemSizeStats, vma: Vma, entry: number): void {
  const { vm, pageTable } = vma.mm;
  const flags = pageTable.flags(entry);
  if ((flags & Pte.special) !== 0) return;
  const value = pageTable.value(entry);
  if ((flags & Pte.present) !== 0) account(stats, vma, entryPage(value), flags);
  else if (entryKind(flags) === EntryKind.swap) addSwap(stats, vm, swapDevice(flags), value);
  else if (holdsPage(flags)) {
    // The accessed and dirty bits of an entry that isn't present don't count.
    account(stats, vma, entryPage(value), flags & ~(Pte.accessed | Pte.dirty));
  }
}

/** Adds a slot of swap, and its share. */
function addSwap(stats: MemSizeStats, vm: Vm, device: number, slot: number): void {
  stats.swap += PAGE_BYTES;
  stats.swapPss += share(vm.swap.count(device, slot));
}

/** Adds one page. @see smaps_account() */
function account(stats: MemSizeStats, vma: Vma, page: Page, flags: number): void {
  const { vm } = vma.mm;
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  countKind(stats, vm, head, PAGE_BYTES, flags);
  // A page with one reference has one mapping. A page under migration counts as mapped by this entry alone.
  const exclusive = memmap.refcount(head) === 1 || isMigration(flags);
  addShare(stats, vma, page, PAGE_BYTES, exclusive ? 1 : pageMapcount(memmap, page), flags);
}

/** Adds a page of 2 MiB. @see smaps_pmd_entry() */
function addHuge(stats: MemSizeStats, vma: Vma, pmd: number): void {
  const { vm, pageTable } = vma.mm;
  const { memmap } = vm;
  if (isVmHugetlbPage(vma))
    return addHugetlb(stats, compoundMapcount(memmap, entryPage(pageTable.value(pmd))));
  const flags = pageTable.flags(pmd);
  const migration = isMigration(flags);
  if ((flags & Pte.special) !== 0 || ((flags & Pte.present) === 0 && !migration)) return;
  const head = entryPage(pageTable.value(pmd));
  const seen = migration ? flags & ~(Pte.accessed | Pte.dirty) : flags;
  if (isAnon(vm, head)) stats.anonymousThp += PMD_SIZE;
  else if (memmap.test(head, PageFlag.swapbacked)) stats.shmemThp += PMD_SIZE;
  else stats.fileThp += PMD_SIZE;
  countKind(stats, vm, head, PMD_SIZE, seen);
  if (migration || memmap.refcount(head) === 1) {
    addShare(stats, vma, head, PMD_SIZE, 1, seen);
    return;
  }
  for (let i = 0; i < HUGE_PAGES; i++) {
    const page = (head + i) as Page;
    addShare(stats, vma, page, PAGE_BYTES, pageMapcount(memmap, page), seen);
  }
}

/** Adds a huge page of the pool, which isn't a part of the resident set. @see smaps_hugetlb_range() */
function addHugetlb(stats: MemSizeStats, mapcount: number): void {
  if (mapcount >= 2) stats.sharedHugetlb += PMD_SIZE;
  else stats.privateHugetlb += PMD_SIZE;
}

/** Adds to the counters that don't depend on the mapcount. */
function countKind(stats: MemSizeStats, vm: Vm, head: Page, bytes: number, flags: number): void {
  const state = vm.memmap.flags(head);
  if (isAnon(vm, head)) {
    stats.anonymous += bytes;
    if ((state & (PageFlag.swapbacked | PageFlag.dirty)) === 0 && (flags & Pte.dirty) === 0)
      stats.lazyfree += bytes;
  }
  stats.resident += bytes;
  if ((flags & Pte.accessed) !== 0 || (state & (PageFlag.young | PageFlag.referenced)) !== 0)
    stats.referenced += bytes;
}

/** Adds to the counters that depend on the mapcount. @see smaps_page_accumulate() */
function addShare(
  stats: MemSizeStats,
  vma: Vma,
  page: Page,
  bytes: number,
  mapcount: number,
  flags: number,
): void {
  const { vm } = vma.mm;
  const head = vm.memmap.compoundHead(page);
  const state = vm.memmap.flags(head);
  const pss = share(mapcount) * (bytes / PAGE_BYTES);
  const shared = mapcount >= 2;
  stats.pss += pss;
  if (isAnon(vm, head)) stats.pssAnon += pss;
  else if ((state & PageFlag.swapbacked) !== 0) stats.pssShmem += pss;
  else stats.pssFile += pss;
  if ((vma.flags & VmFlag.LOCKED) !== 0) stats.pssLocked += pss;
  if ((flags & Pte.dirty) !== 0 || (state & PageFlag.dirty) !== 0) {
    stats.pssDirty += pss;
    if (shared) stats.sharedDirty += bytes;
    else stats.privateDirty += bytes;
  } else if (shared) {
    stats.sharedClean += bytes;
  } else {
    stats.privateClean += bytes;
  }
}

function isAnon({ memmap }: Vm, head: Page): boolean {
  return (memmap.mapping(head) & MAPPING_ANON) !== 0;
}

/** The share of one process in a page, in 4096ths of a byte. @param mapcount entries that map the page */
function share(mapcount: number): number {
  return mapcount >= 2 ? Math.floor(PAGE_PSS / mapcount) : PAGE_PSS;
}
