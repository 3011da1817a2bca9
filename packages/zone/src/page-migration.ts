// Port: who moves pages that are in use when their memory is to go offline. The process side of the machine plugs in
// here; a machine without processes has nobody who could.
import type { Page, Pfn, Sleeps } from "@hetmem/kernel";

export interface PageMigration {
  /** Whether the page's owner can be made to use another one: it is on an LRU, or has an owner with movable operations. */
  isMovable(page: Page): boolean;
  /** Moves what is in use in [start, end) elsewhere, as far as that works now. @see do_migrate_range() in mm/memory_hotplug.c */
  migrateRange(start: Pfn, end: Pfn): Sleeps<void>;
  /**
   * Gives huge pages of [start, end) that wait in a pool back to the allocator, once nothing else is left in the range.
   *
   * @throws KernelError EBUSY when those that are free are promised; pages below it have gone
   * @see dissolve_free_huge_pages() in mm/hugetlb.c
   */
  dissolveFreeHugePages(start: Pfn, end: Pfn): void;
  /** Who holds a page that stays, as the rest of a sentence: `, pinned by process 12`. Empty when unknown. */
  reason(page: Page): string;
}

export const nothingMoves: PageMigration = {
  isMovable: () => false,
  migrateRange: function* () {},
  dissolveFreeHugePages: () => {},
  reason: () => "",
};
