// Per-cpu page lists: single pages and small blocks, kept ready so that most requests never look at the buddy. A list
// is a stack: requests and frees work at its top, the buddy takes back from its bottom. All lists of a machine lie in
// two Int32Arrays, because the allocator's fast path is as short as the number of arrays it touches: a stack in an
// array of its own costs twice as much. Kernel counterpart: struct per_cpu_pages in mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import { MIGRATE_PCPTYPES, type MigrateType, PAGE_ALLOC_COSTLY_ORDER } from "./zone-type.ts";

/** Lists a cpu keeps of a zone: one for each order up to PAGE_ALLOC_COSTLY_ORDER and migrate type. */
export const PCP_LISTS: number = MIGRATE_PCPTYPES * (PAGE_ALLOC_COSTLY_ORDER + 1);

/** Words of the record of one cpu in one zone, and where its counters are; its lists follow. */
export const PCP_RECORD = 128;
export const PCP_COUNT = 0;
/** What a free compares with: the high mark, 0 while the lists are bypassed. */
export const PCP_HIGH = 1;
const PCP_BATCH = 2;
const PCP_HIGH_SET = 3;
/** 1 while the lists are bypassed. */
export const PCP_BYPASSED = 4;
export const PCP_FIRST_LIST = 8;

/** Words of a list (2^3), and what they are: positions in the stacks. Zeros are an empty list without room. */
export const PCP_LIST_SHIFT = 3;
export const LIST_TOP = 0;
export const LIST_BOTTOM = 1;
export const LIST_LIMIT = 2;
const LIST_START = 3;
/** Requests that the allocator's fast path served from here and has not counted yet. */
export const LIST_SERVED = 4;
/** Of the lists of single pages, for the allocator: where the zone's numbers begin, its type, and its own list of single free pages. */
export const LIST_ZONE = 5;
export const LIST_ZONE_TYPE = 6;
export const LIST_SINGLES = 7;
/** Pages of the first room that a list gets. */
const FIRST_ROOM = 64;

/** The lists of some cpus in some zones. A list is known by the position of its words. */
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

  /** The block used last. Ask for the length first. */
  pop(list: number): Page {
    const top = (this.words[list + LIST_TOP] as number) - 1;
    this.words[list + LIST_TOP] = top;
    return this.stacks[top] as Page;
  }

  /** The block that has lain longest. Ask for the length first. */
  popOldest(list: number): Page {
    const bottom = this.words[list + LIST_BOTTOM] as number;
    this.words[list + LIST_BOTTOM] = bottom + 1;
    return this.stacks[bottom] as Page;
  }

  /** The block that has lain longest, which stays; NULL_PAGE where the list is empty. */
  oldest(list: number): Page {
    const bottom = this.words[list + LIST_BOTTOM] as number;
    return (bottom < (this.words[list + LIST_TOP] as number) ? this.stacks[bottom] : NULL_PAGE) as Page;
  }

  /** Turns a list round, so that what was pushed first is popped first. */
  reverse(list: number): void {
    this.stacks.subarray(this.words[list + LIST_BOTTOM], this.words[list + LIST_TOP]).reverse();
  }

  /** Blocks of a list, the oldest first. */
  pages(list: number): Page[] {
    return Array.from(
      this.stacks.subarray(this.words[list + LIST_BOTTOM], this.words[list + LIST_TOP]),
    ) as Page[];
  }

  /** Moves a full list down over what was taken from its bottom, or to twice the room. */
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

/** What one cpu keeps of one zone. */
export class PerCpuPages {
  private readonly stacks: PcpStacks;
  /** Where this cpu's record begins among the words of all. */
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

  /** From this many pages on a free gives some back. */
  get high(): number {
    return this.stacks.words[this.record + PCP_HIGH_SET] as number;
  }

  set high(pages: number) {
    this.stacks.words[this.record + PCP_HIGH_SET] = pages;
    this.stacks.words[this.record + PCP_HIGH] =
      this.stacks.words[this.record + PCP_BYPASSED] === 1 ? 0 : pages;
  }

  /** Pages moved to or from the buddy at a time. */
  get batch(): number {
    return this.stacks.words[this.record + PCP_BATCH] as number;
  }

  set batch(pages: number) {
    this.stacks.words[this.record + PCP_BATCH] = pages;
  }

  /** Whether frees go past the lists, as they do while a range is taken offline. */
  set bypassed(bypassed: boolean) {
    this.stacks.words[this.record + PCP_BYPASSED] = bypassed ? 1 : 0;
    this.stacks.words[this.record + PCP_HIGH] = bypassed ? 0 : this.high;
  }

  /** @see order_to_pindex() */
  list(order: number, type: MigrateType): number {
    return this.listAt(order * MIGRATE_PCPTYPES + type);
  }

  /** One of PCP_LISTS lists, smallest orders first: the sequence in which pages are given back. */
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
