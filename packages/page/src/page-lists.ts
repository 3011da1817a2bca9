// Lists of pages, linked through the pages themselves: free lists, per-cpu lists and LRUs are all made of these. A
// list head is a negative number in the links, so that a page can be taken off without knowing which list it is on.
// Kernel counterpart: include/linux/list.h over page->lru.
import { KernelBug, type Page } from "@hetmem/kernel";
import { Field, NULL_PAGE, PAGE_WORDS } from "./layout.ts";

/** A list of pages. Heads are numbered from 0; in the links a head is written as ~list. */
export type ListId = number & { readonly __list: never };

/** What the links of a page hold that is on no list. @see LIST_POISON1 in include/linux/poison.h */
export const LIST_POISON_NEXT: number = -0x7fff_ff00;
export const LIST_POISON_PREV: number = -0x7fff_fede;

const { lruNext, lruPrev } = Field;
/** A page's words begin at `(page << WORDS_SHIFT) >>> 0`: see MemMap. */
const WORDS_SHIFT = 3;
const UNLINKED = LIST_POISON_NEXT;

/** A head: its first page, its last, and how many there are. */
const HEAD_SHIFT = 2;
const LAST = 1;
const COUNT = 2;

export class PageLists {
  private readonly words: Int32Array;
  private heads: Int32Array = new Int32Array(256 << HEAD_SHIFT);
  private used = 0;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** A new, empty list. Lists live as long as the memmap, and those made in a row have numbers in a row. */
  create(): ListId {
    const list = this.used++;
    if (list << HEAD_SHIFT === this.heads.length) this.grow();
    this.heads[list << HEAD_SHIFT] = ~list;
    this.heads[(list << HEAD_SHIFT) | LAST] = ~list;
    return list as ListId;
  }

  /** Puts a page first. @throws KernelBug when it is on a list */
  addHead(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << HEAD_SHIFT;
    const at = page << WORDS_SHIFT;
    if (words[(at | lruNext) >>> 0] !== UNLINKED) this.linkedAlready(page);
    const next = heads[head] as number;
    words[(at | lruNext) >>> 0] = next;
    words[(at | lruPrev) >>> 0] = ~list;
    heads[head] = page;
    if (next < 0) heads[head | LAST] = page;
    else words[((next << WORDS_SHIFT) | lruPrev) >>> 0] = page;
    (heads[head | COUNT] as number)++;
  }

  /** Puts a page last. @throws KernelBug when it is on a list */
  addTail(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << HEAD_SHIFT;
    const at = page << WORDS_SHIFT;
    if (words[(at | lruNext) >>> 0] !== UNLINKED) this.linkedAlready(page);
    const prev = heads[head | LAST] as number;
    words[(at | lruNext) >>> 0] = ~list;
    words[(at | lruPrev) >>> 0] = prev;
    heads[head | LAST] = page;
    if (prev < 0) heads[head] = page;
    else words[((prev << WORDS_SHIFT) | lruNext) >>> 0] = page;
    (heads[head | COUNT] as number)++;
  }

  /** Takes a page off the given list. @throws KernelBug when its neighbours don't know it @see __list_del_entry_valid() in lib/list_debug.c */
  remove(list: ListId, page: Page): void {
    const { words, heads } = this;
    const head = list << HEAD_SHIFT;
    const at = page << WORDS_SHIFT;
    const next = words[(at | lruNext) >>> 0] as number;
    const prev = words[(at | lruPrev) >>> 0] as number;
    if (next < 0) {
      if (heads[head | LAST] !== page) this.notOnList(list, page);
      heads[head | LAST] = prev;
    } else {
      const link = ((next << WORDS_SHIFT) | lruPrev) >>> 0;
      if (words[link] !== page) this.notOnList(list, page);
      words[link] = prev;
    }
    if (prev < 0) {
      if (heads[head] !== page) this.notOnList(list, page);
      heads[head] = next;
    } else {
      words[((prev << WORDS_SHIFT) | lruNext) >>> 0] = next;
    }
    words[(at | lruNext) >>> 0] = UNLINKED;
    (heads[head | COUNT] as number)--;
  }

  /** The first page, NULL_PAGE when the list is empty. */
  first(list: ListId): Page {
    const page = this.heads[list << HEAD_SHIFT] as number;
    return (page < 0 ? NULL_PAGE : page) as Page;
  }

  last(list: ListId): Page {
    const page = this.heads[(list << HEAD_SHIFT) | LAST] as number;
    return (page < 0 ? NULL_PAGE : page) as Page;
  }

  /** The page behind one, NULL_PAGE at the end. */
  next(page: Page): Page {
    const next = this.words[page * PAGE_WORDS + lruNext] as number;
    return (next < 0 ? NULL_PAGE : next) as Page;
  }

  /** The page before one, NULL_PAGE at the start. */
  prev(page: Page): Page {
    const prev = this.words[page * PAGE_WORDS + lruPrev] as number;
    return (prev < 0 ? NULL_PAGE : prev) as Page;
  }

  count(list: ListId): number {
    return this.heads[(list << HEAD_SHIFT) | COUNT] as number;
  }

  /** Whether the page is on some list. */
  linked(page: Page): boolean {
    return this.words[page * PAGE_WORDS + lruNext] !== LIST_POISON_NEXT;
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

  private grow(): void {
    const larger = new Int32Array(this.heads.length * 2);
    larger.set(this.heads);
    this.heads = larger;
  }
}
