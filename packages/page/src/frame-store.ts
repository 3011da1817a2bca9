// Frames whose bytes are not the memmap's: they lie on a module, or in a device, and are still there when their struct pages
// have gone and others have come. Whoever has such memory plugs it in, by physical address, before anything is mapped.
// What a cpu stores to a page is in the store at once, in the same bytes. Kernel counterpart: none, this is the hardware.
import { bugOn, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { hostArray } from "./host-array.ts";
import { PAGES_PER_SUBSECTION } from "./layout.ts";
import type { SectionTable } from "./section.ts";

/** Port: memory that keeps its bytes by itself. */
export interface FrameStore {
  /** Whether anything was ever written to a frame: else it reads as zeros. */
  has(frame: Pfn): boolean;
  /** The bytes of a frame, to read and to write: the same array until the power goes. Nobody tells of a write to it. */
  bytes(frame: Pfn): Uint8Array;
  /** Cache lines leave the cpu on their way to where the bytes stay. @see clwb() */
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

  /** Plugs in a store. @param end frame behind the last @throws KernelBug when some of the frames have one */
  add(start: Pfn, end: Pfn, store: FrameStore): void {
    bugOn(
      this.#ranges.some((range) => range.start < end && start < range.end),
      `frames 0x${start.toString(16)}-0x${(end - 1).toString(16)} have a store already`,
    );
    this.#ranges.push({ start, end, store });
  }

  /** Whether some of the pages, all in one section, have a store. */
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

  /** The bytes of a page; new ones for a page that has no store, and shares its 2 MiB with some that have. */
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

/** Memory of a device that forgets when the power goes, and not before. Nothing has to be written back to it. */
export class DeviceRam implements FrameStore {
  /** By frame / 512. */
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
