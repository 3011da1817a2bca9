// Port: migrates pages in use when their memory goes offline. The package of the process side implements it; on a
// machine without processes no page is movable.
import type { Page, Pfn, Sleeps } from "@hetmem/kernel";

export interface PageMigration {
  /** Whether the page can be migrated: it is on an LRU list, or its owner has movable operations. */
  isMovable(page: Page): boolean;
  /**
   * Migrates pages in use in frames [start, end). Pages that can't be migrated now stay.
   *
   * @see do_migrate_range() in mm/memory_hotplug.c
   */
  migrateRange(start: Pfn, end: Pfn): Sleeps<void>;
  /**
   * Frees the unused huge pages of the hugetlb pool in frames [start, end) to the allocator. Called when no other
   * page of the range is in use.
   *
   * @throws KernelError EBUSY when a mapping has reserved one; pages before it are freed
   * @see dissolve_free_huge_pages() in mm/hugetlb.c
   */
  dissolveFreeHugePages(start: Pfn, end: Pfn): void;
  /**
   * The holder of a page that can't be migrated, for the end of a message: `, pinned by process 12`. Empty when
   * unknown.
   */
  reason(page: Page): string;
}

export const nothingMoves: PageMigration = {
  isMovable: () => false,
  migrateRange: function* () {},
  dissolveFreeHugePages: () => {},
  reason: () => "",
};
