// The contents of persistent memory in 4 KiB pages, with the persistence state of each cache line. A store is in a
// cpu cache until its line is flushed, then in the memory controller's write queue until that is drained, then on the
// media. The platform's persistence domain determines which of these survive a power failure. Mappings store directly
// to a page's bytes, so the cached lines are those that differ from the queue or media. Lines are 64 bytes. Kernel
// counterparts: arch_wb_cache_pmem(), memcpy_flushcache() and nvdimm_flush(); the rest is the platform's.
import { bugOn, PAGE_SIZE } from "@hetmem/kernel";

/** Bytes per cache line, the unit of flushes. */
export const CACHE_LINE = 64;
const LINES = PAGE_SIZE / CACHE_LINE;

/**
 * The data that survives a power failure: everything including cpu caches (eADR, `cpu_cache`), the write queue and
 * the media (ADR, `memory_controller`), or the media only (`none`).
 *
 * @see persistence_domain_show() in drivers/nvdimm/region_devs.c
 */
export type PersistenceDomain = "cpu_cache" | "memory_controller" | "none";

/** The lines of a page in the write queue. */
interface WriteQueue {
  readonly bytes: Uint8Array;
  /** 1 for each line that is in the queue. */
  readonly lines: Uint8Array;
}

interface MediaPage {
  /** The contents as seen by cpus. */
  bytes: Uint8Array;
  /** The contents on the media; undefined when equal to `bytes`, before any store. */
  durable: Uint8Array | undefined;
  queue: WriteQueue | undefined;
}

export class MediaPages {
  readonly #pages = new Map<number, MediaPage>();
  /** Pages whose bytes may differ from the media. */
  readonly #stored = new Set<MediaPage>();
  /** Pages with lines in the write queue. */
  readonly #queued = new Set<MediaPage>();

  /** Reads the contents as seen by cpus. */
  read(address: number, into: Uint8Array): void {
    forEachPiece(address, into.length, (index, offset, at, length) => {
      const target = into.subarray(at, at + length);
      const page = this.#pages.get(index);
      if (page) target.set(page.bytes.subarray(offset, offset + length));
      else target.fill(0);
    });
  }

  /** An ordinary store: stays in the cpu caches until flushed. */
  store(address: number, from: Uint8Array): void {
    forEachPiece(address, from.length, (index, offset, at, length) => {
      this.bytesOf(index).set(from.subarray(at, at + length), offset);
    });
  }

  /** Whether a page was ever stored to. */
  has(index: number): boolean {
    return this.#pages.has(index);
  }

  /** The bytes of a page for a mapping; writes to them are ordinary stores. The array is valid until a power cycle. */
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

  /** Flushes the lines of a range from the caches to the write queue. @see clwb(), arch_wb_cache_pmem() */
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

  /** Drains the write queue to the media. Cached lines stay cached. @see generic_nvdimm_flush() */
  drain(): void {
    for (const page of this.#queued) settle(page);
    this.#queued.clear();
  }

  /**
   * Power failure: data in the persistence domain is saved, other data is lost. All mappings of pages are gone.
   *
   * @returns whether data was lost
   */
  powerFail(domain: PersistenceDomain): boolean {
    if (domain !== "none") this.drain();
    let losing = false;
    for (const page of this.#stored) {
      const { bytes, durable } = page;
      if (!durable) continue;
      if (domain === "cpu_cache") durable.set(bytes);
      else losing ||= !isSame(bytes, durable);
      // Arrays from bytesOf() are stale from now on.
      page.bytes = durable;
      page.durable = undefined;
      page.queue = undefined;
    }
    this.#stored.clear();
    this.#queued.clear();
    return losing;
  }

  /** Drops all contents, as a secure erase does. */
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

/** Calls `visit` for each page that a range of bytes overlaps. */
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
