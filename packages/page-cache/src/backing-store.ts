// A simulated disk under one file, with blocks of a page each. A page that was written back is kept here after it has
// left memory. Reads and writes return at once; a caller yields before them, in place of the time that a disk takes.
// Kernel counterpart: submit_bio() and the block layer below it.
import { type Page, PAGE_SIZE } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { VmEvent } from "@hetmem/zone";

/** 512-byte sectors, the unit of pgpgin and pgpgout. */
const SECTORS_PER_PAGE: number = PAGE_SIZE / 512;

export class BackingStore {
  /** Blocks, by page index, that fail with EIO when they are read or written. */
  readonly badBlocks: Set<number> = new Set();
  private readonly vm: Vm;
  /** Contents by page index. A block that is absent holds zeros. */
  private readonly blocks = new Map<number, Uint8Array>();

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /**
   * Reads a block into a page, which must read as zeros.
   *
   * @param index page index in the file
   * @returns false if the block is bad
   */
  readPage(index: number, page: Page): boolean {
    if (this.badBlocks.has(index)) return false;
    const { memmap, memory } = this.vm;
    const block = this.blocks.get(index);
    if (block) memmap.contents.write(page, 0, block);
    memory.allocator.countEvent(VmEvent.pgpgin, SECTORS_PER_PAGE);
    return true;
  }

  /**
   * Writes a page to its block.
   *
   * @param index page index in the file
   * @returns false if the block is bad
   */
  writePage(index: number, page: Page): boolean {
    if (this.badBlocks.has(index)) return false;
    const { memmap, memory } = this.vm;
    const bytes = memmap.contents.bytes(page);
    if (bytes) this.blocks.set(index, bytes.slice());
    else this.blocks.delete(index);
    memory.allocator.countEvent(VmEvent.pgpgout, SECTORS_PER_PAGE);
    return true;
  }

  /** Sets the first contents of the file, before any page of it is read. @param at position in the file, in bytes */
  fill(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const index = Math.floor((at + done) / PAGE_SIZE);
      const offset = (at + done) % PAGE_SIZE;
      const part = bytes.subarray(done, done + PAGE_SIZE - offset);
      this.materialise(index).set(part, offset);
      done += part.length;
    }
  }

  /** Zeroes the bytes [from, to) of the file. */
  zero(from: number, to: number): void {
    for (const [index, block] of this.blocks) {
      const start = index * PAGE_SIZE;
      if (from <= start && start + PAGE_SIZE <= to) this.blocks.delete(index);
      else if (from < start + PAGE_SIZE && start < to)
        block.fill(0, Math.max(0, from - start), Math.max(0, to - start));
    }
  }

  /** A copy of one block, for tests and tools. @param index page index in the file */
  block(index: number): Uint8Array {
    return this.blocks.get(index)?.slice() ?? new Uint8Array(PAGE_SIZE);
  }

  private materialise(index: number): Uint8Array {
    let block = this.blocks.get(index);
    if (!block) this.blocks.set(index, (block = new Uint8Array(PAGE_SIZE)));
    return block;
  }
}
