// Frames with contents outside of the memmap, on a module or in a device, which survive the removal of their struct
// pages. A store is plugged in by physical address, before anything is mapped. Stores by a cpu to a page are visible
// in the store at once, since both use the same bytes. Kernel counterpart: none, this is the hardware.
import { bugOn, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { hostArray } from "./host-array.ts";
import { PAGES_PER_SUBSECTION } from "./layout.ts";
import type { SectionTable } from "./section.ts";

/** Port: memory with contents of its own. */
export interface FrameStore {
  /** Whether a frame was ever written; else it reads as zeros. */
  has(frame: Pfn): boolean;
  /** The bytes of a frame, for reads and writes. The same array until a power cycle. Writes to it aren't announced. */
  bytes(frame: Pfn): Uint8Array;
  /** Writes cache lines of a frame back. @see clwb() */
  writeback(frame: Pfn, offset: number, size: number): void;
}

interface StoredRange {
  readonly start: Pfn;
  readonly end: Pfn;
  readonly store: FrameStore;
}

export class FrameStores {
  readonly #sections: SectionTable;
  readonly #ranges: StoredRange[] = [];

  constructor(sections: SectionTable) {
    this.#sections = sections;
  }

  /**
   * Plugs in a store.
   *
   * @param end first frame after the range
   * @throws KernelBug when one of the frames has a store already
   */
  add(start: Pfn, end: Pfn, store: FrameStore): void {
    bugOn(
      this.#ranges.some((range) => range.start < end && start < range.end),
      `frames 0x${start.toString(16)}-0x${(end - 1).toString(16)} have a store already`,
    );
    this.#ranges.push({ start, end, store });
  }

  /** Whether any page of a range in one section has a store. */
  overlaps(page: Page, pages: number): boolean {
    if (this.#ranges.length === 0) return false;
    const frame = this.#sections.pageToPfn(page);
    return this.#ranges.some(({ start, end }) => start < frame + pages && frame < end);
  }

  /** @see FrameStore.has() */
  has(page: Page): boolean {
    const frame = this.#sections.pageToPfn(page);
    return this.#storeOf(frame)?.has(frame) ?? false;
  }

  /** The bytes of a page; a new array for a page without a store in a chunk of 2 MiB that overlaps one. */
  bytes(page: Page): Uint8Array {
    const frame = this.#sections.pageToPfn(page);
    return this.#storeOf(frame)?.bytes(frame) ?? new Uint8Array(PAGE_SIZE);
  }

  /** @see FrameStore.writeback() */
  writeback(page: Page, offset: number, size: number): void {
    const frame = this.#sections.pageToPfn(page);
    this.#storeOf(frame)?.writeback(frame, offset, size);
  }

  #storeOf(frame: Pfn): FrameStore | undefined {
    return this.#ranges.find(({ start, end }) => start <= frame && frame < end)?.store;
  }
}

/** Volatile device memory: keeps its contents until a power cycle. Needs no write-back. */
export class DeviceRam implements FrameStore {
  /** Contents by frame / 512. */
  readonly #pieces = new Map<number, Uint8Array>();

  has(frame: Pfn): boolean {
    return this.#pieces.has(Math.floor(frame / PAGES_PER_SUBSECTION));
  }

  bytes(frame: Pfn): Uint8Array {
    const at = Math.floor(frame / PAGES_PER_SUBSECTION);
    let piece = this.#pieces.get(at);
    if (!piece) {
      piece = hostArray(Uint8Array, PAGES_PER_SUBSECTION * PAGE_SIZE, "frames that are written");
      this.#pieces.set(at, piece);
    }
    const offset = (frame % PAGES_PER_SUBSECTION) * PAGE_SIZE;
    return piece.subarray(offset, offset + PAGE_SIZE);
  }

  writeback(): void {}
}
