// Where a file is kept when it isn't in memory: a simulated disk, a page a block. What was written back survives whatever
// becomes of the pages. It answers at once; who uses it yields while it "works". Kernel counterpart: submit_bio() and
// whatever is behind it.
import { type Page, PAGE_SIZE } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { VmEvent } from "@hetmem/zone";

/** What pgpgin and pgpgout count is sectors. */
const SECTORS_PER_PAGE: number = PAGE_SIZE / 512;

export class BackingStore {
  /** Blocks that can't be read or written: EIO. */
  readonly badBlocks: Set<number> = new Set();
  private readonly vm: Vm;
  /** By page of the file; a block that is absent holds zeros. */
  private readonly blocks = new Map<number, Uint8Array>();

  constructor(vm: Vm) {
    this.vm = vm;
  }

  /** Fills a page, which reads as zeros. @returns false for a block that is bad */
  readPage(index: number, page: Page): boolean {
    if (this.badBlocks.has(index)) return false;
    const { memmap, memory } = this.vm;
    const block = this.blocks.get(index);
    if (block) memmap.contents.write(page, 0, block);
    memory.allocator.countEvent(VmEvent.pgpgin, SECTORS_PER_PAGE);
    return true;
  }

  /** Keeps what a page holds. @returns false for a block that is bad */
  writePage(index: number, page: Page): boolean {
    if (this.badBlocks.has(index)) return false;
    const { memmap, memory } = this.vm;
    const bytes = memmap.contents.bytes(page);
    if (bytes) this.blocks.set(index, bytes.slice());
    else this.blocks.delete(index);
    memory.allocator.countEvent(VmEvent.pgpgout, SECTORS_PER_PAGE);
    return true;
  }

  /** Fills the disk before anybody has looked at the file. @param at byte of the file */
  fill(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const index = Math.floor((at + done) / PAGE_SIZE);
      const offset = (at + done) % PAGE_SIZE;
      const part = bytes.subarray(done, done + PAGE_SIZE - offset);
      this.materialise(index).set(part, offset);
      done += part.length;
    }
  }

  /** The bytes [from, to) of the file read as zeros. */
  zero(from: number, to: number): void {
    for (const [index, block] of this.blocks) {
      const start = index * PAGE_SIZE;
      if (from <= start && start + PAGE_SIZE <= to) this.blocks.delete(index);
      else if (from < start + PAGE_SIZE && start < to)
        block.fill(0, Math.max(0, from - start), Math.max(0, to - start));
    }
  }

  /** A copy of what the disk holds of a page of the file. */
  block(index: number): Uint8Array {
    return this.blocks.get(index)?.slice() ?? new Uint8Array(PAGE_SIZE);
  }

  private materialise(index: number): Uint8Array {
    let block = this.blocks.get(index);
    if (!block) this.blocks.set(index, (block = new Uint8Array(PAGE_SIZE)));
    return block;
  }
}
