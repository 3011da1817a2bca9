// Lists of pages, linked through the struct pages: free lists, per-cpu lists and LRU lists. A list head is a negative
// number in the links, so that the ends of a list need no page. Kernel counterpart: include/linux/list.h over
// page->lru.
import { KernelBug, type Page } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "./layout.ts";

/** A list of pages. Heads are numbered from 0; in links a head is stored as ~list. */
export type ListId = number & { readonly __list: never };

/** The links of a page on no list. @see LIST_POISON1 in include/linux/poison.h */
export const LIST_POISON_NEXT: number = -0x7fff_ff00;
export const LIST_POISON_PREV: number = -0x7fff_fede;

// The methods below are the inner loop of the allocator, and V8 stops inlining at a number of bytes of code that named
// constants would fill. So their numbers are written out. Of a page, whose eight words begin at (page << 3) >>> 0:
// 0 flags, 3 next, 4 previous, 6 migrate type and 7 order of a free block, as Field says. Of a head, whose four words
// begin at list << 2: 0 the first page, 1 the last, 2 how many. A page that is on no list has UNLINKED for its next.
const UNLINKED = LIST_POISON_NEXT;
const BUDDY = PageFlag.buddy;

export class PageLists {
  /** The words of the memmap; replaced when it grows. */
  words: Int32Array;
  private heads: Int32Array = new Int32Array(512 << 2);
  private used = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Creates an empty list. Lists are never destroyed; consecutive calls give consecutive numbers. */
  create(): ListId {
    const list = this.used++;
    if (list << 2 === this.heads.length) this.grow();
    this.heads[list << 2] = ~list;
    this.heads[(list << 2) | 1] = ~list;
    return list as ListId;
  }

  /** Adds a page at the head. @throws KernelBug when the page is on a list */
  addHead(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << 2;
    const at = page << 3;
    if (words[(at | 3) >>> 0] !== UNLINKED) this.linkedAlready(page);
    const next = heads[head] as number;
    words[(at | 3) >>> 0] = next;
    words[(at | 4) >>> 0] = ~list;
    heads[head] = page;
    if (next < 0) heads[head | 1] = page;
    else words[((next << 3) | 4) >>> 0] = page;
    (heads[head | 2] as number)++;
  }

  /** Adds a page at the tail. @throws KernelBug when the page is on a list */
  addTail(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << 2;
    const at = page << 3;
    if (words[(at | 3) >>> 0] !== UNLINKED) this.linkedAlready(page);
    const prev = heads[head | 1] as number;
    words[(at | 3) >>> 0] = ~list;
    words[(at | 4) >>> 0] = prev;
    heads[head | 1] = page;
    if (prev < 0) heads[head] = page;
    else words[((prev << 3) | 3) >>> 0] = page;
    (heads[head | 2] as number)++;
  }

  /**
   * Removes a page from a list.
   *
   * @throws KernelBug when its neighbours don't link to it
   * @see __list_del_entry_valid() in lib/list_debug.c
   */
  remove(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << 2;
    const at = page << 3;
    const next = words[(at | 3) >>> 0] as number;
    const prev = words[(at | 4) >>> 0] as number;
    if (next < 0) {
      if (heads[head | 1] !== page) this.notOnList(list, page);
      heads[head | 1] = prev;
    } else {
      const link = ((next << 3) | 4) >>> 0;
      if (words[link] !== page) this.notOnList(list, page);
      words[link] = prev;
    }
    if (prev < 0) {
      if (heads[head] !== page) this.notOnList(list, page);
      heads[head] = next;
    } else {
      words[((prev << 3) | 3) >>> 0] = next;
    }
    words[(at | 3) >>> 0] = UNLINKED;
    (heads[head | 2] as number)--;
  }

  /**
   * Marks a page as the first of a free block and adds it to a free list.
   *
   * @see set_buddy_order(), add_to_free_list() in mm/page_alloc.c
   */
  addFreeBlock(list: ListId, page: Page, order: number, type: number, toTail: boolean): void {
    const { words, heads } = this;
    const head = list << 2;
    const at = page << 3;
    if (words[(at | 3) >>> 0] !== UNLINKED) this.linkedAlready(page);
    words[at >>> 0] = (words[at >>> 0] as number) | BUDDY;
    words[(at | 7) >>> 0] = order;
    words[(at | 6) >>> 0] = type;
    const last = heads[head | 1] as number;
    if (last < 0 || !toTail) {
      const next = heads[head] as number;
      words[(at | 3) >>> 0] = next;
      words[(at | 4) >>> 0] = ~list;
      heads[head] = page;
      if (next < 0) heads[head | 1] = page;
      else words[((next << 3) | 4) >>> 0] = page;
    } else {
      words[(at | 3) >>> 0] = ~list;
      words[(at | 4) >>> 0] = last;
      heads[head | 1] = page;
      words[((last << 3) | 3) >>> 0] = page;
    }
    (heads[head | 2] as number)++;
  }

  /**
   * addFreeBlock() for an empty list: the remainders of a split block go to empty lists.
   *
   * @throws KernelBug when it isn't empty
   */
  addOnlyFreeBlock(list: ListId, page: Page, order: number, type: number): void {
    const { words, heads } = this;
    const head = list << 2;
    const at = page << 3;
    if ((heads[head | 2] as number)++ !== 0) this.notEmpty(list);
    words[at >>> 0] = (words[at >>> 0] as number) | BUDDY;
    words[(at | 7) >>> 0] = order;
    words[(at | 6) >>> 0] = type;
    words[(at | 3) >>> 0] = ~list;
    words[(at | 4) >>> 0] = ~list;
    heads[head] = page;
    heads[head | 1] = page;
  }

  /** Removes a free block from its list and clears its marks. @see del_page_from_free_list() in mm/page_alloc.c */
  removeFreeBlock(list: ListId, page: Page): void {
    const { words } = this;
    const at = page << 3;
    this.remove(list, page);
    words[at >>> 0] = (words[at >>> 0] as number) & ~BUDDY;
    words[(at | 7) >>> 0] = 0;
    words[(at | 6) >>> 0] = 0;
  }

  /**
   * Removes the first free block of a list; NULL_PAGE when the list is empty.
   *
   * @see get_page_from_free_area() in mm/page_alloc.c
   */
  shiftFreeBlock(list: ListId): Page {
    const { words, heads } = this;
    const head = list << 2;
    const page = heads[head] as number;
    if (page < 0) return NULL_PAGE as Page;
    const at = page << 3;
    const next = words[(at | 3) >>> 0] as number;
    heads[head] = next;
    if (next < 0) heads[head | 1] = next;
    else words[((next << 3) | 4) >>> 0] = ~list;
    words[(at | 3) >>> 0] = UNLINKED;
    words[at >>> 0] = (words[at >>> 0] as number) & ~BUDDY;
    words[(at | 7) >>> 0] = 0;
    words[(at | 6) >>> 0] = 0;
    (heads[head | 2] as number)--;
    return page as Page;
  }

  /** The first page; NULL_PAGE when the list is empty. */
  first(list: ListId): Page {
    const page = this.heads[list << 2] as number;
    return (page < 0 ? NULL_PAGE : page) as Page;
  }

  last(list: ListId): Page {
    const page = this.heads[(list << 2) | 1] as number;
    return (page < 0 ? NULL_PAGE : page) as Page;
  }

  /** The next page; NULL_PAGE at the end. */
  next(page: Page): Page {
    const next = this.words[((page << 3) | 3) >>> 0] as number;
    return (next < 0 ? NULL_PAGE : next) as Page;
  }

  /** The previous page; NULL_PAGE at the start. */
  prev(page: Page): Page {
    const prev = this.words[((page << 3) | 4) >>> 0] as number;
    return (prev < 0 ? NULL_PAGE : prev) as Page;
  }

  count(list: ListId): number {
    return this.heads[(list << 2) | 2] as number;
  }

  /** Whether the page is on a list. */
  linked(page: Page): boolean {
    return this.words[((page << 3) | 3) >>> 0] !== LIST_POISON_NEXT;
  }

  *pages(list: ListId): Generator<Page, void, void> {
    for (let page = this.first(list); page !== NULL_PAGE; page = this.next(page)) yield page;
  }

  private linkedAlready(page: Page): never {
    throw new KernelBug(`page ${page} is on a list already, or must never be on one`);
  }

  private notOnList(list: ListId, page: Page): never {
    throw new KernelBug(`page ${page} is not on list ${list}`);
  }

  private notEmpty(list: ListId): never {
    throw new KernelBug(`list ${list} has blocks although a larger one was split`);
  }

  private grow(): void {
    const larger = new Int32Array(this.heads.length * 2);
    larger.set(this.heads);
    this.heads = larger;
  }
}
