// Contents of pages. A page has contents once it has been written; until then it reads as zeros, so memory that is
// never written costs nothing. Contents are kept in chunks of 2 MiB: one array per page while few pages of a chunk
// are written, one array per chunk when many are. Copying a page copies its bytes, so a migration that loses data
// fails a test that reads them back. Freed contents are zeroed lazily, by the next write, and not at all when that
// overwrites the whole page. Frames with a store keep their contents in the store: ZONE_DEVICE pages show them, RAM
// reads as zeros over them, as from the allocator.
import { bugOn, KernelBug, type Page, PAGE_SIZE } from "@hetmem/kernel";
import type { FrameStores } from "./frame-store.ts";
import { resized } from "./growth.ts";
import { hostArray } from "./host-array.ts";
import { PAGES_PER_SUBSECTION } from "./layout.ts";

const CHUNK_PAGES = PAGES_PER_SUBSECTION;
const CHUNK_SHIFT = 9;
const SLOT_MASK = CHUNK_PAGES - 1;
/** Maximum number of empty chunks kept for reuse: allocating new ones from the operating system is slow. */
const MAX_SPARE_CHUNKS = 8;
/** Number of written pages up to which each page of a chunk has an array of its own. */
const FEW_PAGES = 16;
/** Added to the written-page count of a chunk that shows its store, so that the count is never 0. */
const SHOWN = 0x8000;
const NO_BYTES = new Uint8Array(0);

/** The contents of 2 MiB of pages, with one bit per page for `written` and `stale`. */
interface Chunk {
  /** Empty when each page has an array of its own: in a store, or while few are written. */
  readonly bytes: Uint8Array;
  readonly stored: boolean;
  readonly written: Uint32Array;
  /** Pages that are not written but still hold the bytes of an earlier user. */
  readonly stale: Uint32Array;
  /** Views by page in the chunk, created at first use: a view costs as much as a short copy. */
  readonly views: (Uint8Array | undefined)[];
}

export class PageContents {
  /** Unordered, with holes. */
  private readonly chunks: (Chunk | undefined)[] = [undefined];
  private readonly holes: number[] = [];
  /** Index into `chunks` by page / 512; 0 for none. A lookup in a Map would take longer than copying a page. */
  private places: Int32Array = new Int32Array(0);
  /** Number of written pages by page / 512. Checked at every free, for which it is mostly 0. */
  private live: Uint16Array = new Uint16Array(0);
  private readonly spare: Chunk[] = [];
  /** Spare chunks of the kind with an array per page. */
  private readonly spareOfFew: Chunk[] = [];
  private readonly stores: FrameStores | undefined;

  /**
   * @param pages initial number of pages; see fit()
   * @param stores stores of frame contents; undefined for none
   */
  constructor(pages: number, stores?: FrameStores) {
    this.stores = stores;
    this.fit(pages);
  }

  /** Makes room for `pages` pages. */
  fit(pages: number): void {
    const chunks = Math.ceil(pages / CHUNK_PAGES);
    this.live = resized(this.live, chunks, "counts of written pages");
    this.places = resized(this.places, chunks, "places of written pages");
  }

  /** Copies bytes out of a page. @throws KernelBug when the range exceeds the page */
  read(page: Page, offset: number, into: Uint8Array): void {
    expectInPage("read", offset, into.length);
    const bytes = this.bytes(page);
    if (bytes) into.set(bytes.subarray(offset, offset + into.length));
    else into.fill(0);
  }

  /** Copies bytes into a page. @throws KernelBug when the range exceeds the page */
  write(page: Page, offset: number, from: Uint8Array): void {
    expectInPage("write", offset, from.length);
    this.materialise(page).set(from, offset);
  }

  /** The bytes of a written page; undefined for a page that reads as zeros. */
  bytes(page: Page): Uint8Array | undefined {
    if (this.live[page >> CHUNK_SHIFT] === 0) return undefined;
    const chunk = this.chunks[this.places[page >> CHUNK_SHIFT] as number];
    return chunk && has(chunk.written, page) ? this.viewOf(chunk, page) : this.shownBytes(page);
  }

  /** The bytes of a page for writing; zeros for a page that wasn't written. */
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
   * Copies `count` pages from `from` to `to`. Runs of consecutive pages on both sides are copied in one piece.
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

  /** Drops the contents: the page reads as zeros. An empty chunk is kept as spare or dropped. @see clear_highpage() */
  clear(page: Page): void {
    if (this.live[page >> CHUNK_SHIFT] !== 0) this.#clearWritten(page);
  }

  /** Drops the contents of whole chunks, when their struct pages are removed. */
  clearChunks(page: Page, pages: number): void {
    bugOn(((page | pages) & SLOT_MASK) !== 0, `pages ${page}+${pages} are not whole chunks of 2 MiB`);
    for (let at = page >> CHUNK_SHIFT; at < (page + pages) >> CHUNK_SHIFT; at++) {
      if (this.places[at] !== 0) this.dropChunk(at);
      this.live[at] = 0;
    }
  }

  /** Makes ZONE_DEVICE pages of one section show the contents of their stores. */
  show(page: Page, pages: number): void {
    if (!this.stores?.overlaps(page, pages)) return;
    for (let at = page >> CHUNK_SHIFT; at <= (page + pages - 1) >> CHUNK_SHIFT; at++)
      this.live[at] = (this.live[at] as number) | SHOWN;
  }

  /** Writes cache lines of a page back to its store, if it has one. @see clwb() */
  writeback(page: Page, offset: number, size: number): void {
    expectInPage("writeback", offset, size);
    this.stores?.writeback(page, offset, size);
  }

  /** Upper bound in bytes of the host memory used for contents: whole chunks, without spare ones and stores. */
  get hostBytes(): number {
    return this.chunks.filter((chunk) => chunk?.stored === false).length * CHUNK_PAGES * PAGE_SIZE;
  }

  /** The stored bytes of a ZONE_DEVICE page that wasn't written since its struct page was initialised. */
  private shownBytes(page: Page): Uint8Array | undefined {
    const isShown = ((this.live[page >> CHUNK_SHIFT] as number) & SHOWN) !== 0;
    return isShown && this.stores?.has(page) ? this.materialise(page) : undefined;
  }

  /** Length of the run of written pages from index `i` on, consecutive up or down within one chunk on both sides. */
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

  /** A chunk over a store: shows the stored contents for ZONE_DEVICE pages, and treats them as stale for RAM. */
  private newStoredChunk(at: number): Chunk | undefined {
    if (!this.stores?.overlaps((at << CHUNK_SHIFT) as Page, CHUNK_PAGES)) return undefined;
    const isShown = ((this.live[at] as number) & SHOWN) !== 0;
    return newChunk(NO_BYTES, true, isShown ? 0 : ~0);
  }

  /** The chunk for a first write to a page: converted to one array when it has FEW_PAGES written pages. */
  private withRoom(chunk: Chunk, page: Page): Chunk {
    const isFull = (this.live[page >> CHUNK_SHIFT] as number) >= FEW_PAGES;
    return isFull && !chunk.stored ? this.inOnePiece(chunk, page) : chunk;
  }

  /** Converts a chunk to one array for all pages. */
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
    // A chunk over a store can't be reused.
    if (live > 0 || chunk.stored) return;
    this.dropChunk(at);
    const spare = isApart(chunk) ? this.spareOfFew : this.spare;
    if (spare.length < MAX_SPARE_CHUNKS) spare.push(chunk);
  }
}

function newChunk(bytes: Uint8Array, stored: boolean, stale: number): Chunk {
  const views: Chunk["views"] = [];
  // At once: an array that grows to its last page would be copied on the way.
  views.length = CHUNK_PAGES;
  return {
    bytes,
    stored,
    written: new Uint32Array(CHUNK_PAGES / 32),
    stale: new Uint32Array(CHUNK_PAGES / 32).fill(stale),
    views,
  };
}

/** Whether each page has an array of its own. */
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
