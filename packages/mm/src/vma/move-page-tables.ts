// Moving page table entries to other addresses, for mremap(). Entries of every kind move: pages, swap slots,
// migration entries and device entries. The rmap locks are held, so that a reverse mapping walk finds each entry
// exactly once. Kernel counterpart: move_page_tables() in mm/mremap.c. Unlike in the kernel, whole page tables are
// never relinked: small and huge entries move one by one.
import { condResched, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NO_ENTRY, type PageTable, PMD_SIZE, Pte } from "@hetmem/page-table";
import { ensureEntry } from "../fault/handle-mm-fault.ts";
import { splitHugeAt } from "../huge/split-huge-at.ts";
import { dropRmapLocks, takeRmapLocks } from "./rmap-locks.ts";
import type { Vma } from "./vma.ts";

/** The entries that move: a range of one mapping, and an address in another one. */
export interface PageTableMove {
  readonly from: Vma;
  readonly start: VirtAddr;
  readonly to: Vma;
  readonly target: VirtAddr;
  /** Bytes. */
  readonly length: number;
}

/**
 * Moves entries. The mmap lock is held for writing.
 *
 * @returns bytes from `start` that were moved; fewer than `length` when memory for a page table was missing
 * @see move_page_tables()
 */
export function* movePageTables(move: PageTableMove): Sleeps<number> {
  const { from, start, length } = move;
  const { mm } = from;
  if (length === 0) return 0;
  const range: MmuNotifierRange = {
    mm,
    start,
    end: (start + length) as VirtAddr,
    event: MmuNotifyEvent.Unmap,
  };
  yield* invalidateRangeStart(range);
  const moved = yield* moveRegions(move);
  yield* invalidateRangeEnd(range);
  return moved;
}

function* moveRegions({ from, start, to, target, length }: PageTableMove): Sleeps<number> {
  const { pageTable } = from.mm;
  const end = (start + length) as VirtAddr;
  let at = pageTable.nextPopulated(start, end);
  while (at < end) {
    const destination = (target + (at - start)) as VirtAddr;
    // A step stays within one 2 MiB on both sides, so that each side is a single page table.
    const step = Math.min(end - at, PMD_SIZE - (at % PMD_SIZE), PMD_SIZE - (destination % PMD_SIZE));
    if (!(yield* moveRegion(from, at, to, destination, step))) return at - start;
    at = pageTable.nextPopulated((at + step) as VirtAddr, end);
    yield condResched;
  }
  return length;
}

/** @returns false when memory for a page table is missing */
function* moveRegion(from: Vma, at: VirtAddr, to: Vma, target: VirtAddr, step: number): Sleeps<boolean> {
  const { pageTable } = from.mm;
  const pmd = pageTable.findPmd(at);
  if ((pageTable.flags(pmd) & Pte.table) === 0) {
    if (step === PMD_SIZE) return yield* moveHuge(from, at, to, target);
    yield* splitHugeAt(from, at);
    yield* splitHugeAt(from, (at + step) as VirtAddr);
  }
  if ((yield* ensureEntry(from.mm, target)) === NO_ENTRY) return false;
  const locks = yield* takeRmapLocks(from, to.anonVma ?? from.anonVma);
  const source = pageTable.find(at);
  if (source !== NO_ENTRY) moveEntries(pageTable, source, pageTable.find(target), step / 4096);
  dropRmapLocks(locks);
  return true;
}

/** @see move_huge_pmd() */
function* moveHuge(from: Vma, at: VirtAddr, to: Vma, target: VirtAddr): Sleeps<boolean> {
  const { pageTable } = from.mm;
  const into = pageTable.ensurePmd(target);
  if (into === NO_ENTRY) return false;
  const locks = yield* takeRmapLocks(from, to.anonVma ?? from.anonVma);
  // A table left empty by an earlier mapping must make room for the huge entry.
  if (pageTable.tableUnder(into) !== NO_ENTRY) pageTable.depopulate(into);
  moveEntries(pageTable, pageTable.findPmd(at), into, 1);
  dropRmapLocks(locks);
  return true;
}

/** Moves neighbouring entries of any kind. A moved entry counts as written for soft-dirty tracking. @see move_ptes() */
function moveEntries(pageTable: PageTable, first: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const flags = pageTable.flags(first + i);
    if (flags === 0) continue;
    const value = pageTable.value(first + i);
    pageTable.clear(first + i);
    pageTable.set(into + i, value, flags | Pte.softDirty);
  }
}
