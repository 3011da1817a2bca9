// mem_map: every struct page of the machine in one flat Int32Array, eight words a page. A page is an index; its frame
// follows from the section table. The array is as long as the pages need that have been touched, and grows by copy, so that
// memory nobody uses costs nothing: this is DEFERRED_STRUCT_PAGE_INIT. Kernel counterparts: include/linux/mm.h, mm/page_alloc.c (__init_single_page).
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

/** Port: who takes a page back whose last reference has gone. The buddy takes RAM, a pagemap its device pages. */
export type FreePage = (page: Page) => void;

export interface MemMapOptions {
  /** Pages that the machine can ever have at once, device memory among them. */
  readonly maxPages: number;
  /** Bits of a physical address. */
  readonly physicalBits: number;
}

const { refcount, mapcount, lruNext, mapping, index, private: priv } = Field;

/** A page's words begin at `(page << WORDS_SHIFT) >>> 0`, and hot paths or the field to it: no addition to check for overflow. */
const WORDS_SHIFT = 3;

const BUDDY = PageFlag.buddy;
const COMPOUND = PageFlag.head | PageFlag.tail;
const FREE_BLOCK_MASK = BUDDY | ZONE_MASK;

export class MemMap {
  readonly sections: SectionTable;
  readonly lists: PageLists;
  readonly moves: PageMoves;
  readonly contents: PageContents;
  /** Devices that keep bytes by themselves. */
  readonly stores: FrameStores;
  /** Who takes back the idle pages of each zone. */
  private readonly freePagePorts: (FreePage | undefined)[] = [];
  /** References at which a page of each zone may be idle, and the most of them. */
  private readonly idleCounts = new Int32Array(8);
  /** Whole sections that pfnToPage() has not been asked for yet. */
  private readonly deferred = new Map<number, DevicePages | RamPages>();
  private idleCountMax = 0;
  // Not #words: V8 reads a private name at half the speed of a field.
  private words: Int32Array = new Int32Array(0);
  /** Tables of others, by page. */
  private readonly tables: FitPages[] = [];

  /** @throws KernelError ENOMEM when more pages are asked for than one memmap can hold */
  constructor({ maxPages, physicalBits }: MemMapOptions) {
    expectFits(maxPages);
    this.sections = new SectionTable(maxPages, physicalBits, (pages) => this.fit(pages));
    this.stores = new FrameStores(this.sections);
    this.contents = new PageContents(0, this.stores);
    this.lists = new PageLists(this.words);
    this.moves = new PageMoves(this.words);
  }

  /** Plugs in a table by page. @param fit makes room for so many pages: called at once, and when the memmap has grown */
  addTable(fit: FitPages): void {
    this.tables.push(fit);
    fit(this.words.length / PAGE_WORDS);
  }

  /**
   * Plugs in who takes back the idle pages of a zone.
   *
   * @param idleCount references at which a page may be idle: he hears of each put that leaves as few or fewer. For RAM
   *   it's 0; pages of ZONE_DEVICE were idle at 1 until 27674ef6c73f.
   */
  setFreePage(zone: number, port: FreePage, idleCount = 0): void {
    this.freePagePorts[zone] = port;
    this.idleCounts[zone] = idleCount;
    this.idleCountMax = Math.max(...this.idleCounts);
  }

  /** The struct page of a frame, NULL_PAGE where it has none. The first look at a section finds it a place, and writes what was deferred. */
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
   * Fills in the struct pages of a range within one section: one reference, on no list, mapped by nobody.
   *
   * @param zone the zone's number, or NO_ZONE
   * @param state PageFlag bits to begin with
   * @param references 1 as the kernel initialises pages, 0 for pages that are going straight to the free lists
   * @see __init_single_page() in mm/page_alloc.c
   */
  initRange(page: Page, pages: number, zone: number, state: number, references: number): void {
    initPages(this.words, page, pages, { zone, state, references });
  }

  /**
   * The same for pages of ZONE_DEVICE: reserved, and each knows its pagemap where other pages are linked to lists. What
   * they hold is what lies in the device.
   *
   * @see __init_zone_device_page() in mm/mm_init.c
   */
  initDeviceRange(page: Page, pages: number, fresh: DevicePages): void {
    initDevicePages(this.words, page, pages, fresh);
    if (pages > 0) this.contents.show(page, pages);
  }

  /**
   * Leaves the struct pages of a whole section, which are not written yet, to whoever first asks for one of them: a device
   * of a terabyte has 8 GiB of struct pages, and most are never looked at. Again, it changes what they will say.
   *
   * @throws KernelBug for a section without struct pages
   */
  deferSection(section: number, pages: DevicePages | RamPages): void {
    if (!this.deferred.has(section)) this.sections.setAside(section);
    this.deferred.set(section, pages);
  }

  /** Whether the struct pages of a section are left to whoever asks first: no page of it is in use. */
  isDeferred(section: number): boolean {
    return this.deferred.has(section);
  }

  /** Undoes deferSection() and writes nothing. @returns the first page of the section @throws KernelBug for one that isn't deferred */
  undefer(section: number): Page {
    this.deferred.delete(section);
    return this.sections.takeBack(section);
  }

  /** Takes away the struct pages of a range within one section, and what is known of the contents. @see sparse_remove_section() */
  removeRange(start: Pfn, pages: number): void {
    const section = sectionOfPfn(start);
    if (this.deferred.has(section)) this.undefer(section);
    else {
      const page = this.pfnToPage(start);
      this.poisonRange(page, pages);
      // A page that failed kept its contents: whoever gets these struct pages next must not read them.
      this.contents.clearChunks(page, pages);
    }
    this.sections.remove(start, pages);
  }

  /** Number of the pagemap that a page of ZONE_DEVICE belongs to; meaningless for other pages. @see page->pgmap */
  pagemap(page: Page): number {
    return this.words[page * PAGE_WORDS + lruNext] as number;
  }

  /** How many pages of a range within one section have more than so many references. */
  countReferenced(page: Page, pages: number, references: number): number {
    let found = 0;
    for (let i = 0; i < pages; i++) if (this.refcount((page + i) as Page) > references) found++;
    return found;
  }

  /** Marks the struct pages of a range as not initialised: a read of one is a bug again. @see page_init_poison() */
  poisonRange(page: Page, pages: number): void {
    this.words.fill(0, page * PAGE_WORDS, (page + pages) * PAGE_WORDS);
  }

  initialised(page: Page): boolean {
    return this.words[page * PAGE_WORDS] !== 0;
  }

  /** The PageFlag bits, with the zone bits and the mark of initialisation among them. @throws KernelBug on an uninitialised struct page */
  flags(page: Page): number {
    const bits = this.words[page * PAGE_WORDS] as number;
    if (bits === 0) readTooEarly(this, page);
    return bits;
  }

  /** Whether any of the bits is set. */
  test(page: Page, bits: number): boolean {
    return (this.flags(page) & bits) !== 0;
  }

  /** @returns the flags that it has now */
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

  /** @throws KernelBug when nobody held it @see get_page() in include/linux/mm.h */
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

  /** Drops a reference; the last one gives the page back to its zone's owner. @see put_page() in include/linux/mm.h */
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
   * Drops a reference and says whether it was the last; who hears yes has to free the page.
   *
   * @throws KernelBug when nobody held it: it was freed twice
   * @see put_page_testzero() in include/linux/mm.h
   */
  putPageTestzero(page: Page): boolean {
    const at = page * PAGE_WORDS + refcount;
    const count = ((this.words[at] as number) - 1) | 0;
    if (count < 0) withoutReference(this, page);
    this.words[at] = count;
    return count === 0;
  }

  /** Gives an idle page its first user. @throws KernelBug when it has one @see set_page_refcounted() in mm/internal.h */
  setPageRefcounted(page: Page): void {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    if (((words[(at | refcount) >>> 0] as number) | (words[(at | mapcount) >>> 0] as number)) !== 0)
      handedOutInUse(this, page);
    words[(at | refcount) >>> 0] = 1;
  }

  /**
   * Drops the only reference to a page and strips it, in one step: what nearly every free is.
   *
   * @returns the number of its zone; -1 when somebody else holds it, or when strip() would refuse it, and it was left alone
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
   * Takes off a page what its last user left there: flags, mapping, private word and contents.
   *
   * @param bad flags that the page must not have any more
   * @param dropped flags that it loses
   * @returns the flags that it had; 0 when it isn't idle, or has one of the bad flags, and was left alone
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

  /** A copy of the struct page, word by word: for dumps. */
  copyOf(page: Page): number[] {
    return [...this.words.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS)];
  }

  /** Page table entries that map the page. */
  mapcount(page: Page): number {
    return this.words[page * PAGE_WORDS + mapcount] as number;
  }

  setMapcount(page: Page, value: number): void {
    this.words[page * PAGE_WORDS + mapcount] = value;
  }

  /** A fresh page becomes a process's: whose, where in his memory, some flags, and the one entry that maps it. In one step: it is what most faults do. */
  own(page: Page, owner: number, position: number, bits: number): void {
    const { words } = this;
    const at = page << WORDS_SHIFT;
    words[at >>> 0] = (words[at >>> 0] as number) | bits;
    words[(at | mapcount) >>> 0] = 1;
    words[(at | mapping) >>> 0] = owner;
    words[(at | index) >>> 0] = position;
  }

  /**
   * One more entry maps a page of anonymous memory, and holds a reference; the page loses some flags. In one step: fork
   * does it for every page.
   *
   * @returns false for a part of a compound page and for one that isn't anonymous: it was left alone
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

  /** One entry less maps the page. @returns how many are left; below zero, nobody did */
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

  /** Whether a free block of this order begins here, in this zone. Answers no for struct pages that aren't initialised. @see page_is_buddy() */
  isFreeBlock(page: Page, zone: number, order: number): boolean {
    const { words } = this;
    const at = page << 3;
    const bits = (words[at >>> 0] as number) ^ (zone << 27);
    return (bits & FREE_BLOCK_MASK) === BUDDY && words[(at | 7) >>> 0] === order;
  }

  /** Order of the free block that begins here, -1 where none does. @see buddy_order() */
  freeBlockOrder(page: Page, zone: number): number {
    const at = page << WORDS_SHIFT;
    const bits = (this.words[at >>> 0] as number) ^ (zone << ZONE_SHIFT);
    return (bits & FREE_BLOCK_MASK) === BUDDY ? (this.words[(at | priv) >>> 0] as number) : -1;
  }

  /** Migrate type of the list that a free block is on. */
  freeBlockType(page: Page): number {
    return this.words[((page << WORDS_SHIFT) | index) >>> 0] as number;
  }

  /** The first page of the compound page that a page is in, else the page itself. @see compound_head() */
  compoundHead(page: Page): Page {
    return this.test(page, PageFlag.tail) ? (this.private(page) as Page) : page;
  }

  /** Order of the compound page whose head this is, 0 for any other page. @see compound_order() */
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

  /** Makes room for struct pages, and whatever is kept beside them. */
  private fit(pages: number): void {
    if (pages * PAGE_WORDS <= this.words.length) return;
    const room = roomFor(pages, this.sections.slots * PAGES_PER_SECTION);
    const words = resized(this.words, room * PAGE_WORDS, `struct pages of ${hostSize(room * PAGE_SIZE)}`);
    this.words = words;
    this.lists.words = words;
    this.moves.words = words;
    this.contents.fit(room);
    for (const fit of this.tables) fit(room);
  }
}
