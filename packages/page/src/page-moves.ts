// What happens to the struct pages of two frames when one takes the place of the other, in one step each: migrations do
// it for every page, and single reads and writes of fields would take most of their time. Kernel counterparts: what
// mm/migrate_device.c and mm/migrate.c do to struct page.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "./layout.ts";

// Numbers are written out, as in page-lists.ts. Of a page, whose eight words begin at (page << 3) >>> 0: 0 flags,
// 1 refcount, 2 mapcount, 5 mapping, 6 index.

export class PageMoves {
  /** Those of the memmap, which gives others when it has grown. */
  words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Some flags go, others come. */
  exchange(page: Page, dropped: number, bits: number): void {
    const { words } = this;
    const at = (page << 3) >>> 0;
    words[at] = ((words[at] as number) & ~dropped) | bits;
  }

  /**
   * Takes an anonymous page from the one entry that maps it, whose reference becomes the caller's.
   *
   * @param forbidden flags that it must not have
   * @param required flags that it must have
   * @param references that it must have, no more and no less
   * @param dropped flags that it loses, and flags that it gets
   * @returns the flags that it had; 0 when it isn't such a page, and was left alone
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
   * A locked page takes over from an anonymous one whose it is, and some flags.
   *
   * @param forbidden flags that the old one must not have
   * @param references that the old one must have, no more and no less
   * @param inherited flags that the new one gets where the old one has them; it loses none, which a device's page may have of its last user
   * @param lost those that the old one loses
   * @returns false when it isn't such a page, and nothing has changed
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
   * A locked page that nobody maps is mapped by one entry, which gets the caller's reference; it is unlocked.
   *
   * @param bits flags that it gets
   * @returns the flags that it had; 0 when it is mapped or isn't locked, and was left alone
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
