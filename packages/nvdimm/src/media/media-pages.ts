// The bytes of persistent memory, in pages of 4 KiB, and how far on their way to the media the newest of them are. A store
// lies in a cpu cache until its line is flushed; then it stands in the memory controller's write queue until that is
// drained; then it is on the media. What a power failure leaves depends on how far the platform's reserve energy reaches.
// Lines are of 64 bytes, as the cpu's are. Kernel counterparts: arch_wb_cache_pmem(), memcpy_flushcache() and
// nvdimm_flush(); the rest is the platform's.
import { bugOn, PAGE_SIZE } from "@hetmem/kernel";

/** Bytes that are flushed together. */
export const CACHE_LINE = 64;
const LINES = PAGE_SIZE / CACHE_LINE;

/**
 * What survives a power failure without help: also what the cpu caches hold (eADR), what stands in the memory controller's
 * queue (ADR), or only what has been flushed to the media (`none`).
 *
 * @see persistence_domain_show() in drivers/nvdimm/region_devs.c
 */
export type PersistenceDomain = "cpu_cache" | "memory_controller" | "none";

/** Lines of a page that differ from those further down. */
interface Overlay {
  readonly bytes: Uint8Array;
  /** One a line: whether the line is here. */
  readonly lines: Uint8Array;
}

interface MediaPage {
  /** What is on the media. */
  durable: Uint8Array | undefined;
  /** What stands in the write queue. */
  queued: Overlay | undefined;
  /** What the cpu caches hold. */
  cached: Overlay | undefined;
}

export class MediaPages {
  readonly #pages = new Map<number, MediaPage>();
  /** Pages with something queued or cached. */
  readonly #dirty = new Set<number>();

  /** Reads what a cpu would see: the newest of each line. */
  read(address: number, into: Uint8Array): void {
    forEachPiece(address, into.length, (index, offset, at, length) => {
      const target = into.subarray(at, at + length);
      const page = this.#pages.get(index);
      if (!page) return void target.fill(0);
      if (page.durable) target.set(page.durable.subarray(offset, offset + length));
      else target.fill(0);
      for (const overlay of [page.queued, page.cached]) if (overlay) readOverlay(overlay, offset, target);
    });
  }

  /** An ordinary store: it stays in the cpu caches until it is flushed. */
  store(address: number, from: Uint8Array): void {
    forEachPiece(address, from.length, (index, offset, at, length) => {
      const page = this.#page(index);
      const overlay = (page.cached ??= newOverlay());
      this.#fillLines(page, overlay, offset, length);
      overlay.bytes.set(from.subarray(at, at + length), offset);
      this.#dirty.add(index);
    });
  }

  /** Sends the lines of a range from the caches to the write queue. @see clwb(), arch_wb_cache_pmem() */
  flush(address: number, size: number): void {
    forEachPiece(address, size, (index, offset, _at, length) => {
      const page = this.#pages.get(index);
      if (page?.cached) moveLines(page.cached, (page.queued ??= newOverlay()), offset, length);
      if (page?.cached?.lines.every((held) => held === 0)) page.cached = undefined;
    });
  }

  /** Empties the write queue onto the media. What the caches hold stays there. @see generic_nvdimm_flush() */
  drain(): void {
    for (const index of this.#dirty) {
      const page = this.#page(index);
      settle(page, page.queued);
      page.queued = undefined;
      if (!page.cached) this.#dirty.delete(index);
    }
  }

  /** The power fails: reserve energy saves what lies within the domain, and the rest is lost. */
  powerFail(domain: PersistenceDomain): void {
    for (const index of this.#dirty) {
      const page = this.#page(index);
      if (domain !== "none") settle(page, page.queued);
      if (domain === "cpu_cache") settle(page, page.cached);
      page.queued = undefined;
      page.cached = undefined;
      if (!page.durable) this.#pages.delete(index);
    }
    this.#dirty.clear();
  }

  /** Forgets everything, as a secure erase does. */
  erase(): void {
    this.#pages.clear();
    this.#dirty.clear();
  }

  /** Pages of which something was ever written. */
  get pages(): number {
    return this.#pages.size;
  }

  /** Pages of which something would not survive without the caches and the write queue. */
  get dirtyPages(): number {
    return this.#dirty.size;
  }

  #page(index: number): MediaPage {
    let page = this.#pages.get(index);
    if (!page) {
      page = { durable: undefined, queued: undefined, cached: undefined };
      this.#pages.set(index, page);
    }
    return page;
  }

  /** A cache works on whole lines: the first store to one reads it. */
  #fillLines(page: MediaPage, overlay: Overlay, offset: number, length: number): void {
    for (let line = lineOf(offset); line <= lineOf(offset + length - 1); line++) {
      if (overlay.lines[line] === 1) continue;
      const start = line * CACHE_LINE;
      const bytes = page.queued?.lines[line] === 1 ? page.queued.bytes : page.durable;
      if (bytes) overlay.bytes.set(bytes.subarray(start, start + CACHE_LINE), start);
      else overlay.bytes.fill(0, start, start + CACHE_LINE);
      overlay.lines[line] = 1;
    }
  }
}

/** Calls back for each page that a range of bytes touches. */
function forEachPiece(
  address: number,
  size: number,
  visit: (index: number, offset: number, at: number, length: number) => void,
): void {
  bugOn(address < 0, `media has no address ${address}`);
  for (let at = 0; at < size;) {
    const index = Math.floor((address + at) / PAGE_SIZE);
    const offset = (address + at) % PAGE_SIZE;
    const length = Math.min(PAGE_SIZE - offset, size - at);
    visit(index, offset, at, length);
    at += length;
  }
}

function newOverlay(): Overlay {
  return { bytes: new Uint8Array(PAGE_SIZE), lines: new Uint8Array(LINES) };
}

function lineOf(offset: number): number {
  return Math.floor(offset / CACHE_LINE);
}

/** @param target bytes of the page from `offset` on */
function readOverlay({ bytes, lines }: Overlay, offset: number, target: Uint8Array): void {
  const last = offset + target.length;
  for (let line = lineOf(offset); line <= lineOf(last - 1); line++) {
    if (lines[line] !== 1) continue;
    const start = Math.max(line * CACHE_LINE, offset);
    target.set(bytes.subarray(start, Math.min((line + 1) * CACHE_LINE, last)), start - offset);
  }
}

function moveLines(from: Overlay, to: Overlay, offset: number, length: number): void {
  for (let line = lineOf(offset); line <= lineOf(offset + length - 1); line++) {
    if (from.lines[line] !== 1) continue;
    const start = line * CACHE_LINE;
    to.bytes.set(from.bytes.subarray(start, start + CACHE_LINE), start);
    to.lines[line] = 1;
    from.lines[line] = 0;
  }
}

function settle(page: MediaPage, overlay: Overlay | undefined): void {
  if (!overlay) return;
  page.durable ??= new Uint8Array(PAGE_SIZE);
  readOverlay(overlay, 0, page.durable);
}
