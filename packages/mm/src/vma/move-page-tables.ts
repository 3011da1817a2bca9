// Entries move to other addresses and keep what they hold: pages, but also swap slots, migrations and pages of devices.
// Reverse mapping walks are kept out meanwhile, so that they find each entry in one place. Kernel counterpart:
// move_page_tables() in mm/mremap.c. (Whole page tables aren't hung elsewhere: entries move one by one, huge ones whole.)
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

/** Entries that move: from a mapping's range to a place in another one. */
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
 * @returns bytes that were dealt with: fewer than `length` when memory for a page table was missing
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
    // Neither side leaves its 2 MiB, so that both are one table.
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
  // An empty table that an earlier mapping left would be in the way.
  if (pageTable.tableUnder(into) !== NO_ENTRY) pageTable.depopulate(into);
  moveEntries(pageTable, pageTable.findPmd(at), into, 1);
  dropRmapLocks(locks);
  return true;
}

/** Neighbouring entries, whatever they hold. That they have moved counts as a write for who tracks writes. @see move_ptes() */
function moveEntries(pageTable: PageTable, first: number, into: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const flags = pageTable.flags(first + i);
    if (flags === 0) continue;
    const value = pageTable.value(first + i);
    pageTable.clear(first + i);
    pageTable.set(into + i, value, flags | Pte.softDirty);
  }
}
