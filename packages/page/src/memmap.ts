// mem_map: all struct pages of the machine in one flat Int32Array, eight words per page. A page is an index; the
// section table maps it to its frame. The array has room for the touched sections only and grows by copying, so that
// untouched memory costs nothing: this is DEFERRED_STRUCT_PAGE_INIT. Kernel counterparts: include/linux/mm.h,
// mm/page_alloc.c (__init_single_page).
import { KernelBug, type NodeId, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { PageContents } from "./contents.ts";
import { FrameStores } from "./frame-store.ts";
import { expectFits, resized, roomFor } from "./growth.ts";
import { hostSize } from "./host-array.ts";
import {
  Field,
  NULL_PAGE,
  PAGE_WORDS,
  PageFlag,
  PAGES_PER_SECTION,
  ZONE_MASK,
  ZONE_SHIFT,
} from "./layout.ts";
import { type DevicePages, initDevicePages, initPages, type RamPages } from "./page-init.ts";
import { handedOutInUse, readTooEarly, withoutReference } from "./page-bug.ts";
import { PageLists } from "./page-lists.ts";
import { PageMoves } from "./page-moves.ts";
import { SectionFlag } from "./section-records.ts";
import { type FitPages, sectionOfPfn, SectionTable } from "./section.ts";
import "./version.ts";

/** Port: frees an idle page. The buddy allocator frees RAM, a pagemap its device pages. */
export type FreePage = (page: Page) => void;

export interface MemMapOptions {
  /** Maximum number of pages of the machine at a time, including device memory. */
  readonly maxPages: number;
  /** Bits of a physical address. */
  readonly physicalBits: number;
}

const { refcount, mapcount, lruNext, mapping, index, private: priv } = Field;

/** A page's words begin at `(page << WORDS_SHIFT) >>> 0`; hot paths OR the field to it, without an overflow check. */
const WORDS_SHIFT = 3;

const BUDDY = PageFlag.buddy;
const COMPOUND = PageFlag.head | PageFlag.tail;
const FREE_BLOCK_MASK = BUDDY | ZONE_MASK;

export class MemMap {
  readonly sections: SectionTable;
  readonly lists: PageLists;
  readonly moves: PageMoves;
  readonly contents: PageContents;
  /** Stores of frame contents outside of the memmap. */
  readonly stores: FrameStores;
  /** Free functions by zone. */
  private readonly freePagePorts: (FreePage | undefined)[] = [];
  /** Refcount of idle pages by zone, and its maximum. */
  private readonly idleCounts = new Int32Array(8);
  /** Whole sections to be initialised by the first pfnToPage(). */
  private readonly deferred = new Map<number, DevicePages | RamPages>();
  private idleCountMax = 0;
  // Not #words: V8 reads a private name at half the speed of a field.
  private words: Int32Array = new Int32Array(0);
  /** Tables by page of other packages. */
  private readonly tables: FitPages[] = [];

  /** @throws KernelError ENOMEM for more pages than one memmap can hold */
  constructor({ maxPages, physicalBits }: MemMapOptions) {
    expectFits(maxPages);
    this.sections = new SectionTable(maxPages, physicalBits, (pages) => this.fit(pages));
    this.stores = new FrameStores(this.sections);
    this.contents = new PageContents(0, this.stores);
    this.lists = new PageLists(this.words);
    this.moves = new PageMoves(this.words);
  }

  /** Adds a table by page. @param fit makes room for a number of pages; called at once, and when the memmap grows */
  addTable(fit: FitPages): void {
    this.tables.push(fit);
    fit(this.words.length / PAGE_WORDS);
  }

  /**
   * Sets the free function of a zone.
   *
   * @param port called after each put that leaves a refcount of at most idleCount
   * @param idleCount refcount of an idle page: 0 for RAM; 1 for ZONE_DEVICE until 27674ef6c73f
   */
  setFreePage(zone: number, port: FreePage, idleCount = 0): void {
    this.freePagePorts[zone] = port;
    this.idleCounts[zone] = idleCount;
    this.idleCountMax = Math.max(...this.idleCounts);
  }

  /** The struct page of a frame; NULL_PAGE for none. The first call for a section gives it a slot and initialises it. */
  pfnToPage(frame: Pfn): Page {
    const page = this.sections.pfnToPage(frame);
    return page === NULL_PAGE ? this.firstLook(frame) : page;
  }

  pageToPfn(page: Page): Pfn {
    return this.sections.pageToPfn(page);
  }

  pfnValid(frame: Pfn): boolean {
    return this.sections.pfnValid(frame);
  }

  nodeOf(page: Page): NodeId {
    return this.sections.nodeOf(page);
  }

  /**
   * Initialises the struct pages of a range within one section: on no list, and unmapped.
   *
   * @param zone the zone's number, or NO_ZONE
   * @param state initial PageFlag bits
   * @param references initial refcount: 1 as in the kernel, 0 for pages that go straight to the free lists
   * @see __init_single_page() in mm/page_alloc.c
   */
  initRange(page: Page, pages: number, zone: number, state: number, references: number): void {
    initPages(this.words, page, pages, { zone, state, references });
  }

  /** Initialises ZONE_DEVICE pages, which show the contents of their stores. @see __init_zone_device_page() */
  initDeviceRange(page: Page, pages: number, fresh: DevicePages): void {
    initDevicePages(this.words, page, pages, fresh);
    if (pages > 0) this.contents.show(page, pages);
  }

  /**
   * Defers the initialisation of a whole section to the first pfnToPage(): a device of a terabyte has 8 GiB of struct
   * pages, most of which are never used. A second call replaces the initial state.
   *
   * @throws KernelBug for a section without struct pages
   */
  deferSection(section: number, pages: DevicePages | RamPages): void {
    if (!this.deferred.has(section)) this.sections.setAside(section);
    this.deferred.set(section, pages);
  }

  /** Whether the initialisation of a section is deferred: no page of it is in use. */
  isDeferred(section: number): boolean {
    return this.deferred.has(section);
  }

  /** Undoes deferSection(), uninitialised. @returns the section's first page @throws KernelBug when not deferred */
  undefer(section: number): Page {
    this.deferred.delete(section);
    return this.sections.takeBack(section);
  }

  /** Removes the struct pages and contents of a range within one section. @see sparse_remove_section() */
  removeRange(start: Pfn, pages: number): void {
    const section = sectionOfPfn(start);
    if (this.deferred.has(section)) this.undefer(section);
    else {
      const page = this.pfnToPage(start);
      this.poisonRange(page, pages);
      // A hwpoisoned page keeps its contents: the next owner of these struct pages must not read them.
      this.contents.clearChunks(page, pages);
    }
    this.sections.remove(start, pages);
  }

  /** Number of the pagemap of a ZONE_DEVICE page; undefined value for other pages. @see page->pgmap */
  pagemap(page: Page): number {
    return this.words[page * PAGE_WORDS + lruNext] as number;
  }

  /** Number of pages of a range within one section with a refcount above `references`. */
  countReferenced(page: Page, pages: number, references: number): number {
    let found = 0;
    for (let i = 0; i < pages; i++) if (this.refcount((page + i) as Page) > references) found++;
    return found;
  }

  /** Marks struct pages as uninitialised, so that reading one is a bug. @see page_init_poison() */
  poisonRange(page: Page, pages: number): void {
    this.words.fill(0, page * PAGE_WORDS, (page + pages) * PAGE_WORDS);
  }

  initialised(page: Page): boolean {
    return this.words[page * PAGE_WORDS] !== 0;
  }

  /** The flags word: PageFlag bits, zone bits, INITIALISED. @throws KernelBug on an uninitialised struct page */
  flags(page: Page): number {
    const bits = this.words[page * PAGE_WORDS] as number;
    if (bits === 0) readTooEarly(this, page);
    return bits;
  }

  /** Whether any of the bits is set. */
  test(page: Page, bits: number): boolean {
    return (this.flags(page) & bits) !== 0;
  }

  /** Sets flags. @returns the new flags word */
  set(page: Page, bits: number): number {
    return (this.words[page * PAGE_WORDS] = this.flags(page) | bits);
  }

  clear(page: Page, bits: number): void {
    this.words[page * PAGE_WORDS] = this.flags(page) & ~bits;
  }

  zoneOf(page: Page): number {
    return (this.flags(page) & ZONE_MASK) >>> ZONE_SHIFT;
  }

  /** Node and zone of a page as one number: `(node << 3) | zone`. */
  placeOf(page: Page): number {
    return (
      (this.sections.blockOf(page) & ~7) |
      (((this.words[(page << WORDS_SHIFT) >>> 0] as number) >>> ZONE_SHIFT) & 7)
    );
  }

  refcount(page: Page): number {
    return this.words[page * PAGE_WORDS + refcount] as number;
  }

  setRefcount(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + refcount] = value;
  }

  /** Takes a reference. @throws KernelBug when the refcount is 0 @see get_page() in include/linux/mm.h */
  getPage(page: Page): void {
    const at = page * PAGE_WORDS + refcount;
    const count = this.words[at] as number;
    if (count <= 0)
      throw new KernelBug(`get_page of frame 0x${this.pageToPfn(page).toString(16)} with refcount ${count}`);
    this.words[at] = count + 1;
  }

  /** @see get_page_unless_zero() */
  getPageUnlessZero(page: Page): boolean {
    const at = page * PAGE_WORDS + refcount;
    const count = this.words[at] as number;
    if (count === 0) return false;
    this.words[at] = count + 1;
    return true;
  }

  /** Drops a reference. A page that becomes idle goes to its zone's free function. @see put_page() */
  putPage(page: Page): void {
    const at = page * PAGE_WORDS + refcount;
    const count = ((this.words[at] as number) - 1) | 0;
    if (count < 0) withoutReference(this, page);
    this.words[at] = count;
    if (count > this.idleCountMax) return;
    const zone = this.zoneOf(page);
    if (count > (this.idleCounts[zone] as number)) return;
    const port = this.freePagePorts[zone];
    if (!port) throw new KernelBug(`nobody takes back idle pages of zone ${zone}`);
    port(page);
  }

  /**
   * Drops a reference without freeing.
   *
   * @returns whether it was the last; the caller must free the page then
   * @throws KernelBug when the refcount is 0: the page was freed twice
   * @see put_page_testzero() in include/linux/mm.h
   */
  putPageTestzero(page: Page): boolean {
    const at = page * PAGE_WORDS + refcount;
    const count = ((this.words[at] as number) - 1) | 0;
    if (count < 0) withoutReference(this, page);
    this.words[at] = count;
    return count === 0;
  }

  /** Sets the refcount of an idle page to 1. @throws KernelBug when it is in use @see set_page_refcounted() */
  setPageRefcounted(page: Page): void {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    if (((words[(at | refcount) >>> 0] as number) | (words[(at | mapcount) >>> 0] as number)) !== 0)
      handedOutInUse(this, page);
    words[(at | refcount) >>> 0] = 1;
  }

  /**
   * Drops the only reference of a page and strips it, in one step: the fast path of freeing.
   *
   * @returns the zone's number; -1 when the page has other references or strip() would refuse it, and nothing changed
   */
  release(page: Page, bad: number, dropped: number): number {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    const had = words[at >>> 0] as number;
    if ((had & bad) !== 0 || words[(at | refcount) >>> 0] !== 1 || words[(at | mapcount) >>> 0] !== 0)
      return -1;
    words[at >>> 0] = had & ~dropped;
    words[(at | refcount) >>> 0] = 0;
    words[(at | mapping) >>> 0] = 0;
    words[(at | priv) >>> 0] = 0;
    this.contents.clear(page);
    return (had >>> ZONE_SHIFT) & 7;
  }

  /**
   * Clears the state of a page's last user: flags, mapping, private word and contents.
   *
   * @param bad flags that the page must not have
   * @param dropped flags to clear
   * @returns the old flags word; 0 when the page isn't idle or has a bad flag, and nothing changed
   * @see free_pages_prepare() in mm/page_alloc.c
   */
  strip(page: Page, bad: number, dropped: number): number {
    const words = this.words;
    const at = page * PAGE_WORDS;
    const had = words[at] as number;
    if ((had & bad) !== 0 || words[at + refcount] !== 0 || words[at + mapcount] !== 0) return 0;
    words[at] = had & ~dropped;
    words[at + mapping] = 0;
    words[at + priv] = 0;
    this.contents.clear(page);
    return had;
  }

  /** A copy of the eight words, for dumps. */
  copyOf(page: Page): number[] {
    return [...this.words.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS)];
  }

  /** Number of page table entries that map the page. */
  mapcount(page: Page): number {
    return this.words[page * PAGE_WORDS + mapcount] as number;
  }

  setMapcount(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + mapcount] = value;
  }

  /** Sets mapping, index, flags, and a mapcount of 1 of a new page, in one step: the fast path of anonymous faults. */
  own(page: Page, owner: number, position: number, bits: number): void {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    words[at >>> 0] = (words[at >>> 0] as number) | bits;
    words[(at | mapcount) >>> 0] = 1;
    words[(at | mapping) >>> 0] = owner;
    words[(at | index) >>> 0] = position;
  }

  /**
   * Adds a mapping and its reference to an anonymous page and clears flags, in one step: the fast path of fork.
   *
   * @returns false for a compound or non-anonymous page; nothing changed
   */
  shareAnon(page: Page, dropped: number): boolean {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    const bits = words[at >>> 0] as number;
    if ((bits & COMPOUND) !== 0 || ((words[(at | mapping) >>> 0] as number) & 1) === 0) return false;
    words[at >>> 0] = bits & ~dropped;
    words[(at | refcount) >>> 0] = (words[(at | refcount) >>> 0] as number) + 1;
    words[(at | mapcount) >>> 0] = (words[(at | mapcount) >>> 0] as number) + 1;
    return true;
  }

  /** Decrements the mapcount. @returns the new mapcount; negative when the page wasn't mapped */
  unmap(page: Page): number {
    const { words } = this;
    const at = ((page << WORDS_SHIFT) | mapcount) >>> 0;
    return (words[at] = (words[at] as number) - 1);
  }

  mapping(page: Page): number {
    return this.words[page * PAGE_WORDS + mapping] as number;
  }

  setMapping(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + mapping] = value;
  }

  index(page: Page): number {
    return this.words[page * PAGE_WORDS + index] as number;
  }

  setIndex(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + index] = value;
  }

  private(page: Page): number {
    return this.words[page * PAGE_WORDS + priv] as number;
  }

  setPrivate(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + priv] = value;
  }

  /** Whether a free block of this order and zone begins here. False when uninitialised. @see page_is_buddy() */
  isFreeBlock(page: Page, zone: number, order: number): boolean {
    const { words } = this;
    const at = page << 3;
    const bits = (words[at >>> 0] as number) ^ (zone << 27);
    return (bits & FREE_BLOCK_MASK) === BUDDY && words[(at | 7) >>> 0] === order;
  }

  /** Order of the free block that begins at a page; -1 for none. @see buddy_order() */
  freeBlockOrder(page: Page, zone: number): number {
    const at = page << WORDS_SHIFT;
    const bits = (this.words[at >>> 0] as number) ^ (zone << ZONE_SHIFT);
    return (bits & FREE_BLOCK_MASK) === BUDDY ? (this.words[(at | priv) >>> 0] as number) : -1;
  }

  /** Migrate type of the free list that a free block is on. */
  freeBlockType(page: Page): number {
    return this.words[((page << WORDS_SHIFT) | index) >>> 0] as number;
  }

  /** The head of the compound page that a page is in, or the page itself. @see compound_head() */
  compoundHead(page: Page): Page {
    return this.test(page, PageFlag.tail) ? (this.private(page) as Page) : page;
  }

  /** Order of the compound page if this is its head, else 0. @see compound_order() */
  compoundOrder(page: Page): number {
    return this.test(page, PageFlag.head) ? this.private(page) : 0;
  }

  private firstLook(frame: Pfn): Page {
    const section = sectionOfPfn(frame);
    if (!this.sections.isUntouched(section)) return NULL_PAGE as Page;
    const pages = this.deferred.get(section);
    const first = this.undefer(section);
    if (pages) {
      if ("pagemap" in pages) this.initDeviceRange(first, PAGES_PER_SECTION, pages);
      else this.initRange(first, PAGES_PER_SECTION, pages.zone, pages.state, pages.references);
      this.sections.set(section, SectionFlag.initialised);
    }
    return this.sections.pfnToPage(frame);
  }

  /** Makes room for a number of struct pages, here and in the tables by page. */
  private fit(pages: number): void {
    if (pages * PAGE_WORDS <= this.words.length) return;
    const room = roomFor(pages, this.sections.slots * PAGES_PER_SECTION);
    const words = resized(this.words, room * PAGE_WORDS, `struct pages of ${hostSize(room * PAGE_SIZE)}`);
    this.contents.fit(room);
    for (const fit of this.tables) fit(room);
    // Last: as long as the words are too few, a call after one that threw makes room for everything.
    this.words = words;
    this.lists.words = words;
    this.moves.words = words;
  }
}
