// Changes of struct pages in a migration, each as one method over raw words: a migration does them for every page,
// and separate accessors would take most of its time. Kernel counterparts: the changes of struct page in
// mm/migrate_device.c and mm/migrate.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "./layout.ts";

// Numbers are written out, as in page-lists.ts. Of a page, whose eight words begin at (page << 3) >>> 0: 0 flags,
// 1 refcount, 2 mapcount, 5 mapping, 6 index.

export class PageMoves {
  /** The words of the memmap; replaced when it grows. */
  words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Clears the flags `dropped` and sets the flags `bits`. */
  exchange(page: Page, dropped: number, bits: number): void {
    const { words } = this;
    const at = (page << 3) >>> 0;
    words[at] = ((words[at] as number) & ~dropped) | bits;
  }

  /**
   * Unmaps an anonymous page with a mapcount of 1; the entry's reference becomes the caller's.
   *
   * @param forbidden flags that the page must not have
   * @param required flags that the page must have
   * @param references exact refcount that the page must have
   * @param dropped flags to clear
   * @param bits flags to set
   * @returns the old flags word; 0 when a condition fails, and nothing changed
   */
  take(
    page: Page,
    forbidden: number,
    required: number,
    references: number,
    dropped: number,
    bits: number,
  ): number {
    const { words } = this;
    const at = page << 3;
    const had = words[at >>> 0] as number;
    if (
      (had & (forbidden | required)) !== required ||
      words[(at | 1) >>> 0] !== references ||
      words[(at | 2) >>> 0] !== 1 ||
      ((words[(at | 5) >>> 0] as number) & 1) === 0
    )
      return 0;
    words[at >>> 0] = (had & ~dropped) | bits;
    words[(at | 2) >>> 0] = 0;
    return had;
  }

  /**
   * Copies mapping, index and flags from an anonymous page to a locked one.
   *
   * @param forbidden flags that the old page must not have
   * @param references exact refcount that the old page must have
   * @param inherited flags copied from the old page; flags of the new page stay, which a device page may have from
   * its last user
   * @param lost flags to clear in the old page
   * @returns false when a condition fails, and nothing changed
   */
  inherit(
    from: Page,
    to: Page,
    forbidden: number,
    references: number,
    inherited: number,
    lost: number,
  ): boolean {
    const { words } = this;
    const old = from << 3;
    const fresh = to << 3;
    const had = words[old >>> 0] as number;
    const mapping = words[(old | 5) >>> 0] as number;
    const bits = words[fresh >>> 0] as number;
    if (
      (had & forbidden) !== 0 ||
      words[(old | 1) >>> 0] !== references ||
      (mapping & 1) === 0 ||
      (bits & PageFlag.locked) === 0
    )
      return false;
    words[(fresh | 5) >>> 0] = mapping;
    words[(fresh | 6) >>> 0] = words[(old | 6) >>> 0] as number;
    words[fresh >>> 0] = bits | (had & inherited);
    words[old >>> 0] = had & ~lost;
    return true;
  }

  /**
   * Maps and unlocks an unmapped, locked page; the caller's reference becomes the entry's.
   *
   * @param bits flags to set
   * @returns the old flags word; 0 when the page is mapped or not locked, and nothing changed
   */
  arrive(page: Page, bits: number): number {
    const { words } = this;
    const at = page << 3;
    const had = words[at >>> 0] as number;
    if ((had & PageFlag.locked) === 0 || words[(at | 2) >>> 0] !== 0) return 0;
    words[at >>> 0] = (had & ~PageFlag.locked) | bits;
    words[(at | 2) >>> 0] = 1;
    return had;
  }
}
