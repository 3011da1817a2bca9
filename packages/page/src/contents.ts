// What is written in a page. Contents exist only once written: a page without them reads as zeros, so that a machine
// of a terabyte costs what its programs touch. They live in chunks of 2 MiB, whose pages have room of their own as long as
// they are few and lie in one piece when they are many. Copying a page copies its bytes, so that a migration that loses data fails a test that reads them back. What a page's last user left is wiped when
// somebody writes to it anew, and not at all when he overwrites all of it. Where the frames have a store the bytes are the
// store's: a device's pages show what lies there, and RAM reads as zeros over it, as the allocator hands it out.
import { bugOn, KernelBug, type Page, PAGE_SIZE } from "@hetmem/kernel";
import type { FrameStores } from "./frame-store.ts";
import { resized } from "./growth.ts";
import { hostArray } from "./host-array.ts";
import { PAGES_PER_SUBSECTION } from "./layout.ts";

const CHUNK_PAGES = PAGES_PER_SUBSECTION;
const CHUNK_SHIFT = 9;
const SLOT_MASK = CHUNK_PAGES - 1;
/** Chunks that are kept for the next ones when their last page goes: the operating system takes long to give new ones. */
const MAX_SPARE_CHUNKS = 8;
/** Written pages up to which those of a chunk have room of their own. */
const FEW_PAGES = 16;
/** What is added to the number of written pages of a chunk that shows what its store holds, so that it is never 0. */
const SHOWN = 0x8000;
const NO_BYTES = new Uint8Array(0);

/** The bytes of 2 MiB of pages, and which of them have been written, a bit each. */
interface Chunk {
  /** None where each page has its own: in a store, or because they are few. */
  readonly bytes: Uint8Array;
  readonly stored: boolean;
  readonly written: Uint32Array;
  /** Not written, and not zeros either: somebody else's bytes are still there. */
  readonly stale: Uint32Array;
  /** By slot, made when it is first asked for: a view costs as much as a short copy. */
  readonly views: (Uint8Array | undefined)[];
}

export class PageContents {
  /** In no order, with holes. */
  private readonly chunks: (Chunk | undefined)[] = [undefined];
  private readonly holes: number[] = [];
  /** By page / 512: place among the chunks, 0 where there is none. A map would take longer to ask than a page to copy. */
  private places: Int32Array = new Int32Array(0);
  /** Written pages of each chunk. Every page that is freed asks here first, and mostly here only. */
  private live: Uint16Array = new Uint16Array(0);
  private readonly spare: Chunk[] = [];
  /** The same of pages with room of their own. */
  private readonly spareOfFew: Chunk[] = [];
  private readonly stores: FrameStores | undefined;

  /**
   * @param pages to begin with; see fit()
   * @param stores what has the bytes of some of them; undefined when there is no such thing
   */
  constructor(pages: number, stores?: FrameStores) {
    this.stores = stores;
    this.fit(pages);
  }

  /** Makes room for so many pages. */
  fit(pages: number): void {
    const chunks = Math.ceil(pages / CHUNK_PAGES);
    this.live = resized(this.live, chunks, "counts of written pages");
    this.places = resized(this.places, chunks, "places of written pages");
  }

  /** Copies bytes out of a page. @throws KernelBug when the range leaves the page */
  read(page: Page, offset: number, into: Uint8Array): void {
    expectInPage("read", offset, into.length);
    const bytes = this.bytes(page);
    if (bytes) into.set(bytes.subarray(offset, offset + into.length));
    else into.fill(0);
  }

  /** Copies bytes into a page. @throws KernelBug when the range leaves the page */
  write(page: Page, offset: number, from: Uint8Array): void {
    expectInPage("write", offset, from.length);
    this.materialise(page).set(from, offset);
  }

  /** The bytes of a page that has been written, else undefined: it reads as zeros. */
  bytes(page: Page): Uint8Array | undefined {
    if (this.live[page >> CHUNK_SHIFT] === 0) return undefined;
    const chunk = this.chunks[this.places[page >> CHUNK_SHIFT] as number];
    return chunk && has(chunk.written, page) ? this.viewOf(chunk, page) : this.shownBytes(page);
  }

  /** The bytes of a page, zeros to begin with, to write into. */
  materialise(page: Page): Uint8Array {
    const known = this.ensureChunk(page >> CHUNK_SHIFT);
    if (has(known.written, page)) return this.viewOf(known, page);
    const chunk = this.withRoom(known, page);
    const view = this.viewOf(chunk, page);
    this.count(chunk, page);
    if (has(chunk.stale, page)) {
      flip(chunk.stale, page);
      view.fill(0);
    }
    return view;
  }

  /** @see copy_highpage() in include/linux/highmem.h */
  copy(to: Page, from: Page): void {
    const bytes = this.bytes(from);
    if (!bytes) return this.clear(to);
    const known = this.ensureChunk(to >> CHUNK_SHIFT);
    if (has(known.written, to)) return this.viewOf(known, to).set(bytes);
    const chunk = this.withRoom(known, to);
    this.viewOf(chunk, to).set(bytes);
    this.count(chunk, to);
    if (has(chunk.stale, to)) flip(chunk.stale, to);
  }

  /**
   * Copies pages to others, one for one. Pages that follow one another on both sides go in one piece: that is what
   * memory likes best.
   */
  copyPages(to: Int32Array, from: Int32Array, count: number): void {
    for (let i = 0; i < count;) {
      const run = this.runAt(to, from, i, count);
      const last = i + run - 1;
      if (run === 1) this.copy(to[i] as Page, from[i] as Page);
      else
        this.copyRun(
          Math.min(to[i] as number, to[last] as number) as Page,
          Math.min(from[i] as number, from[last] as number) as Page,
          run,
        );
      i += run;
    }
  }

  /** Forgets what is written: the page reads as zeros. With its last page a chunk is spare, or goes. @see clear_highpage() */
  clear(page: Page): void {
    if (this.live[page >> CHUNK_SHIFT] !== 0) this.#clearWritten(page);
  }

  /** Forgets a range of whole chunks, when its struct pages go. */
  clearChunks(page: Page, pages: number): void {
    bugOn(((page | pages) & SLOT_MASK) !== 0, `pages ${page}+${pages} are not whole chunks of 2 MiB`);
    for (let at = page >> CHUNK_SHIFT; at < (page + pages) >> CHUNK_SHIFT; at++) {
      if (this.places[at] !== 0) this.dropChunk(at);
      this.live[at] = 0;
    }
  }

  /** Pages, all in one section, become a device's: those that have a store show what lies there. */
  show(page: Page, pages: number): void {
    if (!this.stores?.overlaps(page, pages)) return;
    for (let at = page >> CHUNK_SHIFT; at <= (page + pages - 1) >> CHUNK_SHIFT; at++)
      this.live[at] = (this.live[at] as number) | SHOWN;
  }

  /** Cache lines of a page leave the cpu, where the page has a store. @see clwb() */
  writeback(page: Page, offset: number, size: number): void {
    expectInPage("writeback", offset, size);
    this.stores?.writeback(page, offset, size);
  }

  /** Bytes of the host's memory that contents take at most: whole chunks, without spare ones and without stores. */
  get hostBytes(): number {
    return this.chunks.filter((chunk) => chunk?.stored === false).length * CHUNK_PAGES * PAGE_SIZE;
  }

  /** The bytes of a page that nobody has written since it got its struct page. */
  private shownBytes(page: Page): Uint8Array | undefined {
    const isShown = ((this.live[page >> CHUNK_SHIFT] as number) & SHOWN) !== 0;
    return isShown && this.stores?.has(page) ? this.materialise(page) : undefined;
  }

  /** How many pages from the i-th on are written, and follow one another, up or down, within one chunk on each side. */
  private runAt(to: Int32Array, from: Int32Array, i: number, count: number): number {
    const step = (from[i + 1] as number) - (from[i] as number);
    const chunk = this.chunks[this.places[(from[i] as number) >> CHUNK_SHIFT] as number];
    if (chunk === undefined || isApart(chunk) || (step !== 1 && step !== -1)) return 1;
    let end = i + 1;
    while (
      end < count &&
      (from[end] as number) - (from[end - 1] as number) === step &&
      (to[end] as number) - (to[end - 1] as number) === step &&
      (from[end] as number) >> CHUNK_SHIFT === (from[i] as number) >> CHUNK_SHIFT &&
      (to[end] as number) >> CHUNK_SHIFT === (to[i] as number) >> CHUNK_SHIFT &&
      has(chunk.written, from[end] as Page)
    ) {
      end++;
    }
    return has(chunk.written, from[i] as Page) ? end - i : 1;
  }

  private copyRun(to: Page, from: Page, pages: number): void {
    const source = this.ensureChunk(from >> CHUNK_SHIFT);
    const known = this.ensureChunk(to >> CHUNK_SHIFT);
    const target = known.stored ? known : this.inOnePiece(known, to);
    if (target.stored) {
      for (let i = 0; i < pages; i++) this.copy((to + i) as Page, (from + i) as Page);
      return;
    }
    const start = (from & SLOT_MASK) * PAGE_SIZE;
    target.bytes.set(source.bytes.subarray(start, start + pages * PAGE_SIZE), (to & SLOT_MASK) * PAGE_SIZE);
    for (let page = to; page < to + pages; page = (page + 1) as Page) {
      if (has(target.written, page)) continue;
      this.count(target, page);
      if (has(target.stale, page)) flip(target.stale, page);
    }
  }

  private ensureChunk(at: number): Chunk {
    const found = this.chunks[this.places[at] as number];
    if (found) return found;
    const chunk =
      this.newStoredChunk(at) ?? this.spare.pop() ?? this.spareOfFew.pop() ?? newChunk(NO_BYTES, false, 0);
    const place = this.holes.pop() ?? this.chunks.length;
    this.chunks[place] = chunk;
    this.places[at] = place;
    return chunk;
  }

  /** What a device's pages hold is theirs; what lies under RAM is nobody's. */
  private newStoredChunk(at: number): Chunk | undefined {
    if (!this.stores?.overlaps((at << CHUNK_SHIFT) as Page, CHUNK_PAGES)) return undefined;
    const isShown = ((this.live[at] as number) & SHOWN) !== 0;
    return newChunk(NO_BYTES, true, isShown ? 0 : ~0);
  }

  /** The chunk of a page that is about to be written for the first time: in one piece when there are too many for another form. */
  private withRoom(chunk: Chunk, page: Page): Chunk {
    const isFull = (this.live[page >> CHUNK_SHIFT] as number) >= FEW_PAGES;
    return isFull && !chunk.stored ? this.inOnePiece(chunk, page) : chunk;
  }

  /** Brings the pages of a chunk together, if they aren't. */
  private inOnePiece(chunk: Chunk, page: Page): Chunk {
    if (!isApart(chunk)) return chunk;
    const whole =
      this.spare.pop() ??
      newChunk(hostArray(Uint8Array, CHUNK_PAGES * PAGE_SIZE, "pages that are written"), false, 0);
    const first = page & ~SLOT_MASK;
    for (let at = first as Page; at < first + CHUNK_PAGES; at++) {
      if (!has(chunk.written, at)) continue;
      this.viewOf(whole, at).set(this.viewOf(chunk, at));
      flip(whole.written, at);
      if (has(whole.stale, at)) flip(whole.stale, at);
    }
    this.chunks[this.places[page >> CHUNK_SHIFT] as number] = whole;
    return whole;
  }

  private dropChunk(at: number): void {
    const place = this.places[at] as number;
    this.chunks[place] = undefined;
    this.holes.push(place);
    this.places[at] = 0;
    this.live[at] = 0;
  }

  private viewOf(chunk: Chunk, page: Page): Uint8Array {
    return (chunk.views[page & SLOT_MASK] ??= this.newView(chunk, page));
  }

  private newView(chunk: Chunk, page: Page): Uint8Array {
    if (this.stores && chunk.stored) return this.stores.bytes(page);
    if (isApart(chunk)) return new Uint8Array(PAGE_SIZE);
    const start = (page & SLOT_MASK) * PAGE_SIZE;
    return chunk.bytes.subarray(start, start + PAGE_SIZE);
  }

  private count(chunk: Chunk, page: Page): void {
    flip(chunk.written, page);
    const at = page >> CHUNK_SHIFT;
    this.live[at] = (this.live[at] as number) + 1;
  }

  #clearWritten(page: Page): void {
    const at = page >> CHUNK_SHIFT;
    if (((this.live[at] as number) & SHOWN) !== 0) return void this.bytes(page)?.fill(0);
    const chunk = this.chunks[this.places[at] as number];
    if (!chunk || !has(chunk.written, page)) return;
    flip(chunk.written, page);
    flip(chunk.stale, page);
    const live = (this.live[at] as number) - 1;
    this.live[at] = live;
    // One that lies in a store has nothing that others could use.
    if (live > 0 || chunk.stored) return;
    this.dropChunk(at);
    const spare = isApart(chunk) ? this.spareOfFew : this.spare;
    if (spare.length < MAX_SPARE_CHUNKS) spare.push(chunk);
  }
}

function newChunk(bytes: Uint8Array, stored: boolean, stale: number): Chunk {
  return {
    bytes,
    stored,
    written: new Uint32Array(CHUNK_PAGES / 32),
    stale: new Uint32Array(CHUNK_PAGES / 32).fill(stale),
    views: Array.from({ length: CHUNK_PAGES }),
  };
}

/** Whether each page has its bytes for itself. */
function isApart(chunk: Chunk): boolean {
  return chunk.bytes.length === 0;
}

function expectInPage(access: string, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= PAGE_SIZE) return;
  throw new KernelBug(`${access} of ${length} bytes at ${offset} leaves the page`);
}

function has(bits: Uint32Array, page: Page): boolean {
  return (((bits[(page & SLOT_MASK) >> 5] as number) >>> (page & 31)) & 1) === 1;
}

function flip(bits: Uint32Array, page: Page): void {
  const at = (page & SLOT_MASK) >> 5;
  bits[at] = (bits[at] as number) ^ (1 << (page & 31));
}
