// What is written in a page. Contents exist only once written: a page without them reads as zeros, so that a machine
// of a terabyte costs what its programs touch. They live in chunks of 2 MiB, and copying a page copies its bytes, so
// that a migration that loses data fails a test that reads them back.
import { bugOn, KernelBug, type Page, PAGE_SIZE } from "@hetmem/kernel";
import { PAGES_PER_SUBSECTION } from "./layout.ts";

const CHUNK_PAGES = PAGES_PER_SUBSECTION;
const CHUNK_SHIFT = 9;
const SLOT_MASK = CHUNK_PAGES - 1;

/** The bytes of 2 MiB of pages, and which of them have been written, a bit each. */
interface Chunk {
  readonly bytes: Uint8Array;
  readonly written: Uint32Array;
}

export class PageContents {
  /** By page / 512. */
  private readonly chunks = new Map<number, Chunk>();
  /** Written pages of each chunk. Every page that is freed asks here first, and mostly here only. */
  private readonly live: Uint16Array;

  /** @param pages the number of pages of the memmap */
  constructor(pages: number) {
    this.live = new Uint16Array(Math.ceil(pages / CHUNK_PAGES));
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
    const chunk = this.chunks.get(page >> CHUNK_SHIFT);
    return chunk && isWritten(chunk, page) ? bytesOf(chunk, page) : undefined;
  }

  /** The bytes of a page, zeros to begin with, to write into. */
  materialise(page: Page): Uint8Array {
    const at = page >> CHUNK_SHIFT;
    let chunk = this.chunks.get(at);
    if (!chunk) {
      chunk = { bytes: new Uint8Array(CHUNK_PAGES * PAGE_SIZE), written: new Uint32Array(CHUNK_PAGES / 32) };
      this.chunks.set(at, chunk);
    }
    if (!isWritten(chunk, page)) {
      flipWritten(chunk, page);
      this.live[at] = (this.live[at] ?? 0) + 1;
    }
    return bytesOf(chunk, page);
  }

  /** @see copy_highpage() in include/linux/highmem.h */
  copy(to: Page, from: Page): void {
    const bytes = this.bytes(from);
    if (bytes) this.materialise(to).set(bytes);
    else this.clear(to);
  }

  /** Forgets what is written: the page reads as zeros. The chunk goes with its last page. @see clear_highpage() */
  clear(page: Page): void {
    if (this.live[page >> CHUNK_SHIFT] !== 0) this.#clearWritten(page);
  }

  /** Forgets a range of whole chunks, when its struct pages go. */
  clearChunks(page: Page, pages: number): void {
    bugOn(((page | pages) & SLOT_MASK) !== 0, `pages ${page}+${pages} are not whole chunks of 2 MiB`);
    for (let at = page >> CHUNK_SHIFT; at < (page + pages) >> CHUNK_SHIFT; at++) {
      if (this.chunks.delete(at)) this.live[at] = 0;
    }
  }

  /** Bytes of the host's memory that contents take: whole chunks. */
  get hostBytes(): number {
    return this.chunks.size * CHUNK_PAGES * PAGE_SIZE;
  }

  #clearWritten(page: Page): void {
    const at = page >> CHUNK_SHIFT;
    const chunk = this.chunks.get(at);
    if (!chunk || !isWritten(chunk, page)) return;
    flipWritten(chunk, page);
    const live = (this.live[at] ?? 0) - 1;
    this.live[at] = live;
    if (live === 0) this.chunks.delete(at);
    else bytesOf(chunk, page).fill(0);
  }
}

function expectInPage(access: string, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= PAGE_SIZE) return;
  throw new KernelBug(`${access} of ${length} bytes at ${offset} leaves the page`);
}

function isWritten(chunk: Chunk, page: Page): boolean {
  return (((chunk.written[(page & SLOT_MASK) >> 5] ?? 0) >>> (page & 31)) & 1) === 1;
}

function flipWritten(chunk: Chunk, page: Page): void {
  const at = (page & SLOT_MASK) >> 5;
  chunk.written[at] = (chunk.written[at] ?? 0) ^ (1 << (page & 31));
}

function bytesOf(chunk: Chunk, page: Page): Uint8Array {
  const slot = page & SLOT_MASK;
  return chunk.bytes.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE);
}
