// The mappings of an address space in the order of their addresses, without overlap. A lookup tries the mapping of
// the previous lookup first, since faults come in runs. Kernel counterparts: mm_mt of struct mm_struct; find_vma() in
// mm/mmap.c.
import { KernelBug, type VirtAddr } from "@hetmem/kernel";
import type { Vma } from "./vma.ts";

/** The mappings of one address space, ordered by address. */
export class VmaList {
  private readonly vmas: Vma[] = [];
  private last: Vma | undefined = undefined;

  /** Number of mappings. @see map_count */
  get count(): number {
    return this.vmas.length;
  }

  /** The mapping that holds an address, or undefined. @see vma_lookup() */
  at(address: VirtAddr): Vma | undefined {
    const { last } = this;
    if (last !== undefined && address >= last.start && address < last.end) return last;
    const vma = this.vmas[this.position(address)];
    if (vma === undefined || address < vma.start) return undefined;
    this.last = vma;
    return vma;
  }

  /** The first mapping that ends above an address. @see find_vma() */
  findFrom(address: VirtAddr): Vma | undefined {
    return this.vmas[this.position(address)];
  }

  /** Index for get() of the first mapping that ends above an address; `count` when none does. */
  indexFrom(address: VirtAddr): number {
    return this.position(address);
  }

  /** The mapping at an index; undefined below the first and after the last. */
  get(index: number): Vma | undefined {
    return this.vmas[index];
  }

  before(vma: Vma): Vma | undefined {
    return this.vmas[this.indexOf(vma) - 1];
  }

  after(vma: Vma): Vma | undefined {
    return this.vmas[this.indexOf(vma) + 1];
  }

  /** The mappings that have a byte in [start, end), in order. The list may change after the mapping just given. */
  *within(start: VirtAddr, end: VirtAddr): Generator<Vma, void, void> {
    for (let vma = this.findFrom(start); vma !== undefined && vma.start < end; vma = this.findFrom(vma.end))
      yield vma;
  }

  [Symbol.iterator](): Iterator<Vma> {
    return this.vmas[Symbol.iterator]();
  }

  /** @throws KernelBug when the mapping overlaps another */
  insert(vma: Vma): void {
    const at = this.position(vma.start);
    const next = this.vmas[at];
    if (next !== undefined && next.start < vma.end) {
      throw new KernelBug(
        `mapping 0x${vma.start.toString(16)} overlaps that at 0x${next.start.toString(16)}`,
      );
    }
    this.vmas.splice(at, 0, vma);
  }

  /** @throws KernelBug when the mapping isn't in this list */
  remove(vma: Vma): void {
    this.vmas.splice(this.indexOf(vma), 1);
    if (this.last === vma) this.last = undefined;
  }

  private indexOf(vma: Vma): number {
    const at = this.position(vma.start);
    if (this.vmas[at] !== vma)
      throw new KernelBug(`mapping 0x${vma.start.toString(16)} is not of this address space`);
    return at;
  }

  /** Index of the first mapping that ends above an address. */
  private position(address: number): number {
    const { vmas } = this;
    let low = 0;
    let high = vmas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((vmas[middle] as Vma).end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
