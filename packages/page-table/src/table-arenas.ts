// The arrays that page tables live in, kept for the next address space when one ends: memory fresh from the host costs a
// fault a page, which is more than filling the tables does.
import { hostArray } from "@hetmem/page";

/** Arrays kept at most; the rest goes to the garbage collector. */
const KEPT_MAX = 4;

export class TableArenas {
  private readonly kept: Int32Array[] = [];

  /** An array of zeros with room for so many words, and maybe more. */
  take(words: number): Int32Array {
    const fits = this.kept.findIndex((arena) => arena.length >= words);
    if (fits < 0) return hostArray(Int32Array, words, "page tables");
    return this.kept.splice(fits, 1)[0] as Int32Array;
  }

  /** Takes back an array, which holds nothing but zeros again: tables are cleared when they are freed. */
  give(arena: Int32Array): void {
    this.kept.push(arena);
    this.kept.sort((a, b) => a.length - b.length);
    if (this.kept.length > KEPT_MAX) this.kept.shift();
  }
}
