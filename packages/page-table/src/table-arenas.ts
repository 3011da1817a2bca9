// A cache of the arrays that page tables are kept in: an address space that ends gives its array to the next. A new
// array costs a page fault of the host for each 4 KiB, which takes longer than filling the tables does. The kernel has
// no counterpart: its tables are single pages from the page allocator.
import { hostArray } from "@hetmem/page";

/** Arrays in the cache at most. The garbage collector gets the rest. */
const KEPT_MAX = 4;

/** A cache of arrays for page tables, shared by the address spaces of a machine. */
export class TableArenas {
  private readonly kept: Int32Array[] = [];

  /** Takes an array that holds zeros. @param words 32-bit words that the array has at least */
  take(words: number): Int32Array {
    const fits = this.kept.findIndex((arena) => arena.length >= words);
    if (fits < 0) return hostArray(Int32Array, words, "page tables");
    return this.kept.splice(fits, 1)[0] as Int32Array;
  }

  /** Puts an array of zeros into the cache. Freeing a table clears its words. */
  give(arena: Int32Array): void {
    this.kept.push(arena);
    this.kept.sort((a, b) => a.length - b.length);
    if (this.kept.length > KEPT_MAX) this.kept.shift();
  }
}
