// Allocates the frames of struct pages from the start of the range that the struct pages describe: hotplugged memory
// or device memory. Kernel counterpart: struct vmem_altmap in include/linux/memremap.h, mm/sparse-vmemmap.c.
import { alignUp, KernelError, type Pfn } from "@hetmem/kernel";

export class Altmap {
  /** First frame of the range. */
  readonly basePfn: Pfn;
  /** Frames at the start of the range that the device keeps for itself. */
  readonly reserve: number;
  /** Frames behind the reserve that struct pages may use. */
  readonly free: number;
  /** Frames skipped for alignment. */
  align = 0;
  /** Frames allocated. */
  alloc = 0;

  constructor(basePfn: Pfn, reserve: number, free: number) {
    this.basePfn = basePfn;
    this.reserve = reserve;
    this.free = free;
  }

  /** Frames from basePfn to the first frame behind the reserve and the struct pages. @see vmem_altmap_offset() */
  get offset(): number {
    return this.reserve + this.free;
  }

  /**
   * Allocates consecutive frames, aligned to their number rounded up to a power of two.
   *
   * @returns the first of them
   * @throws KernelError ENOMEM when fewer than that are free
   * @see altmap_alloc_block_buf()
   */
  allocBlock(frames: number): Pfn {
    const next = this.basePfn + this.reserve + this.alloc + this.align;
    const align = alignUp(next, 2 ** Math.ceil(Math.log2(frames))) - next;
    if (this.alloc + this.align + align + frames > this.free) {
      throw new KernelError(
        "ENOMEM",
        `${frames} frames of struct pages don't fit in the ${this.free} frames that were set aside for them`,
      );
    }
    this.align += align;
    this.alloc += frames;
    return (next + align) as Pfn;
  }

  /** @see vmem_altmap_free() */
  freeBlock(frames: number): void {
    this.alloc -= frames;
  }
}
