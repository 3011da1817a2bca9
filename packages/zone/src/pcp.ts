// Per-cpu page lists: single pages and small blocks that serve most requests without the zone's free lists. A list is
// a stack: requests and frees push and pop at its top, drains take from its bottom. All lists of a machine lie in two
// Int32Arrays: the time of the allocator's fast path grows with the number of arrays it touches, and with an array
// for each list it would double. Kernel counterpart: struct per_cpu_pages in mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { MIGRATE_PCPTYPES, type MigrateType, PAGE_ALLOC_COSTLY_ORDER } from "./zone-type.ts";

/**
 * Number of lists of one CPU in one zone: one for each order up to PAGE_ALLOC_COSTLY_ORDER and each per-cpu migrate
 * type.
 */
export const PCP_LISTS: number = MIGRATE_PCPTYPES * (PAGE_ALLOC_COSTLY_ORDER + 1);

/** Words in the record of one CPU in one zone: counters at the offsets PCP_COUNT to PCP_BYPASSED, then the lists. */
export const PCP_RECORD = 128;
const PCP_COUNT = 0;
/** Offset of the count from which a free drains: `high`, or 0 while the lists are bypassed. */
export const PCP_HIGH = 1;
const PCP_BATCH = 2;
const PCP_HIGH_SET = 3;
/** Offset of the flag that is 1 while the lists are bypassed. */
export const PCP_BYPASSED = 4;
const PCP_FIRST_LIST = 8;

/** A list has 2^3 words. LIST_TOP to LIST_START are positions in `stacks`. All zeros is an empty list without room. */
const PCP_LIST_SHIFT = 3;
const LIST_TOP = 0;
export const LIST_BOTTOM = 1;
export const LIST_LIMIT = 2;
const LIST_START = 3;
/** Offset of the number of requests that the fast path served from this list and hasn't counted in vm events yet. */
export const LIST_SERVED = 4;
/**
 * For lists of single pages: offsets of the zone's firstNumber, the zone's type, and the zone's free list of order 0.
 */
export const LIST_ZONE = 5;
export const LIST_ZONE_TYPE = 6;
export const LIST_SINGLES = 7;
/** Entries in the first room of a list. */
const FIRST_ROOM = 64;

/** The per-cpu lists of CPUs and zones. A list is identified by the index of its first word. */
export class PcpStacks {
  readonly words: Int32Array;
  stacks: Int32Array = new Int32Array(0);
  private used = 0;

  constructor(records: number) {
    this.words = new Int32Array(records * PCP_RECORD);
  }

  length(list: number): number {
    return (this.words[list + LIST_TOP] as number) - (this.words[list + LIST_BOTTOM] as number);
  }

  push(list: number, page: Page): void {
    const { words } = this;
    if (words[list + LIST_TOP] === words[list + LIST_LIMIT]) this.makeRoom(list);
    const top = words[list + LIST_TOP] as number;
    this.stacks[top] = page;
    words[list + LIST_TOP] = top + 1;
  }

  /** Takes the block pushed last. The list must not be empty. */
  pop(list: number): Page {
    const top = (this.words[list + LIST_TOP] as number) - 1;
    this.words[list + LIST_TOP] = top;
    return this.stacks[top] as Page;
  }

  /** Takes the block pushed first. The list must not be empty. */
  popOldest(list: number): Page {
    const bottom = this.words[list + LIST_BOTTOM] as number;
    this.words[list + LIST_BOTTOM] = bottom + 1;
    return this.stacks[bottom] as Page;
  }

  /** The block pushed first, left on the list; NULL_PAGE when the list is empty. */
  oldest(list: number): Page {
    const bottom = this.words[list + LIST_BOTTOM] as number;
    return (bottom < (this.words[list + LIST_TOP] as number) ? this.stacks[bottom] : NULL_PAGE) as Page;
  }

  /** Reverses a list, so that the block pushed first is popped first. */
  reverse(list: number): void {
    this.stacks.subarray(this.words[list + LIST_BOTTOM], this.words[list + LIST_TOP]).reverse();
  }

  /** Blocks of a list, the oldest first. */
  pages(list: number): Page[] {
    return Array.from(
      this.stacks.subarray(this.words[list + LIST_BOTTOM], this.words[list + LIST_TOP]),
    ) as Page[];
  }

  /** Makes room in a full list: moves it down over entries taken from its bottom, or to a room twice as large. */
  private makeRoom(list: number): void {
    const { words } = this;
    const bottom = words[list + LIST_BOTTOM] as number;
    const length = this.length(list);
    const room = (words[list + LIST_LIMIT] as number) - (words[list + LIST_START] as number);
    if (length * 2 > room || room === 0) {
      words[list + LIST_START] = this.used;
      this.used += room === 0 ? FIRST_ROOM : room * 2;
      words[list + LIST_LIMIT] = this.used;
      this.fitUsed();
    }
    const start = words[list + LIST_START] as number;
    this.stacks.copyWithin(start, bottom, bottom + length);
    words[list + LIST_BOTTOM] = start;
    words[list + LIST_TOP] = start + length;
  }

  private fitUsed(): void {
    if (this.used <= this.stacks.length) return;
    const larger = new Int32Array(this.used * 2);
    larger.set(this.stacks);
    this.stacks = larger;
  }
}

/** The per-cpu lists of one CPU in one zone. */
export class PerCpuPages {
  private readonly stacks: PcpStacks;
  /** Index of the record in PcpStacks.words. */
  readonly record: number;

  constructor(stacks: PcpStacks, index: number) {
    this.stacks = stacks;
    this.record = index * PCP_RECORD;
    this.batch = 1;
  }

  /** Pages on all lists. */
  get count(): number {
    return this.stacks.words[this.record + PCP_COUNT] as number;
  }

  set count(pages: number) {
    this.stacks.words[this.record + PCP_COUNT] = pages;
  }

  /** Pages on all lists from which a free drains a batch. */
  get high(): number {
    return this.stacks.words[this.record + PCP_HIGH_SET] as number;
  }

  set high(pages: number) {
    this.stacks.words[this.record + PCP_HIGH_SET] = pages;
    this.stacks.words[this.record + PCP_HIGH] =
      this.stacks.words[this.record + PCP_BYPASSED] === 1 ? 0 : pages;
  }

  /** Pages moved to or from the zone's free lists at a time. */
  get batch(): number {
    return this.stacks.words[this.record + PCP_BATCH] as number;
  }

  set batch(pages: number) {
    this.stacks.words[this.record + PCP_BATCH] = pages;
  }

  /** Whether frees bypass the lists, as while a range goes offline. @see zone_pcp_disable() */
  set bypassed(bypassed: boolean) {
    this.stacks.words[this.record + PCP_BYPASSED] = bypassed ? 1 : 0;
    this.stacks.words[this.record + PCP_HIGH] = bypassed ? 0 : this.high;
  }

  /** @see order_to_pindex() */
  list(order: number, type: MigrateType): number {
    return this.listAt(order * MIGRATE_PCPTYPES + type);
  }

  /** One of the PCP_LISTS lists, smallest orders first, the order in which they are drained. */
  listAt(index: number): number {
    return this.record + PCP_FIRST_LIST + (index << PCP_LIST_SHIFT);
  }

  /** Blocks on one list, the oldest first. */
  blocks(order: number, type: MigrateType): Page[] {
    return this.stacks.pages(this.list(order, type));
  }
}

/** @see pindex_to_order() */
export function pcpListOrder(index: number): number {
  return (index / MIGRATE_PCPTYPES) | 0;
}
