// The bytes of persistent memory, in pages of 4 KiB, and how far on their way to the media the newest of them are. A store
// lies in a cpu cache until its line is flushed; then it stands in the memory controller's write queue until that is
// drained; then it is on the media. What a power failure leaves depends on how far the platform's reserve energy reaches.
// Whoever has a page mapped stores to its bytes without telling: what the caches hold is what differs from what is further
// down. Lines are of 64 bytes, as the cpu's are. Kernel counterparts: arch_wb_cache_pmem(), memcpy_flushcache() and
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

/** Lines of a page on their way to the media. */
interface WriteQueue {
  readonly bytes: Uint8Array;
  /** One a line: whether the line is here. */
  readonly lines: Uint8Array;
}

interface MediaPage {
  /** What a cpu sees: the newest of each line. */
  bytes: Uint8Array;
  /** What is on the media; undefined while nobody has stored to the bytes, which are that. */
  durable: Uint8Array | undefined;
  queue: WriteQueue | undefined;
}

export class MediaPages {
  readonly #pages = new Map<number, MediaPage>();
  /** Pages whose bytes may differ from what is on the media. */
  readonly #stored = new Set<MediaPage>();
  /** Pages with something in the write queue. */
  readonly #queued = new Set<MediaPage>();

  /** Reads what a cpu would see. */
  read(address: number, into: Uint8Array): void {
    forEachPiece(address, into.length, (index, offset, at, length) => {
      const target = into.subarray(at, at + length);
      const page = this.#pages.get(index);
      if (page) target.set(page.bytes.subarray(offset, offset + length));
      else target.fill(0);
    });
  }

  /** An ordinary store: it stays in the cpu caches until it is flushed. */
  store(address: number, from: Uint8Array): void {
    forEachPiece(address, from.length, (index, offset, at, length) => {
      this.bytesOf(index).set(from.subarray(at, at + length), offset);
    });
  }

  /** Whether anything was ever stored to a page. */
  has(index: number): boolean {
    return this.#pages.has(index);
  }

  /** The bytes of a page for who has it mapped: what he writes is an ordinary store. They are the page's until the power goes. */
  bytesOf(index: number): Uint8Array {
    let page = this.#pages.get(index);
    if (!page) {
      page = { bytes: new Uint8Array(PAGE_SIZE), durable: undefined, queue: undefined };
      this.#pages.set(index, page);
    }
    page.durable ??= page.bytes.slice();
    this.#stored.add(page);
    return page.bytes;
  }

  /** Sends the lines of a range from the caches to the write queue. @see clwb(), arch_wb_cache_pmem() */
  flush(address: number, size: number): void {
    forEachPiece(address, size, (index, offset, _at, length) => {
      const page = this.#pages.get(index);
      if (!page?.durable) return;
      for (let line = lineOf(offset); line <= lineOf(offset + length - 1); line++) {
        const below = page.queue?.lines[line] === 1 ? page.queue.bytes : page.durable;
        if (!isSameLine(page.bytes, below, line)) this.#enqueue(page, line);
      }
    });
  }

  /** Empties the write queue onto the media. What the caches hold stays there. @see generic_nvdimm_flush() */
  drain(): void {
    for (const page of this.#queued) settle(page);
    this.#queued.clear();
  }

  /**
   * The power fails: reserve energy saves what lies within the domain, and the rest is lost. Nobody has a page mapped any more.
   *
   * @returns whether something was lost
   */
  powerFail(domain: PersistenceDomain): boolean {
    if (domain !== "none") this.drain();
    let losing = false;
    for (const page of this.#stored) {
      const { bytes, durable } = page;
      if (!durable) continue;
      if (domain === "cpu_cache") durable.set(bytes);
      else losing ||= !isSame(bytes, durable);
      // Who had it mapped has an array that is nobody's now.
      page.bytes = durable;
      page.durable = undefined;
      page.queue = undefined;
    }
    this.#stored.clear();
    this.#queued.clear();
    return losing;
  }

  /** Forgets everything, as a secure erase does. */
  erase(): void {
    this.#pages.clear();
    this.#stored.clear();
    this.#queued.clear();
  }

  #enqueue(page: MediaPage, line: number): void {
    page.queue ??= { bytes: new Uint8Array(PAGE_SIZE), lines: new Uint8Array(LINES) };
    copyLine(page.bytes, page.queue.bytes, line);
    page.queue.lines[line] = 1;
    this.#queued.add(page);
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

function settle(page: MediaPage): void {
  const { queue, durable } = page;
  if (!queue || !durable) return;
  for (let line = 0; line < LINES; line++) if (queue.lines[line] === 1) copyLine(queue.bytes, durable, line);
  page.queue = undefined;
}

function lineOf(offset: number): number {
  return Math.floor(offset / CACHE_LINE);
}

function copyLine(from: Uint8Array, to: Uint8Array, line: number): void {
  const start = line * CACHE_LINE;
  to.set(from.subarray(start, start + CACHE_LINE), start);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  for (let line = 0; line < LINES; line++) if (!isSameLine(one, other, line)) return false;
  return true;
}

function isSameLine(one: Uint8Array, other: Uint8Array, line: number): boolean {
  for (let at = line * CACHE_LINE; at < (line + 1) * CACHE_LINE; at++)
    if (one[at] !== other[at]) return false;
  return true;
}
