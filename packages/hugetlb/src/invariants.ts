// Invariants of the pool: every free page is unused, and there are at least as many free pages as reservations.
// `vmInvariants` of the mm package check them. The kernel has no such check in one place; mm/hugetlb.c asserts parts of
// it.
import type { Page } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import type { HugetlbPool } from "./hugetlb-pool.ts";

/** A sentence for each violation. */
export function* poolFindings(pool: HugetlbPool): Generator<string, void, void> {
  const { memmap } = pool.vm;
  const { total, free, reserved, surplus } = pool.counts;
  if (reserved < 0 || reserved > free) yield `${reserved} huge pages are promised, and ${free} are free`;
  if (surplus > total) yield `${surplus} of ${total} huge pages are surplus`;
  for (const page of pool.freePages()) if (!isIdle(pool, page)) yield `free: ${describePage(memmap, page)}`;
}

/** Whether a page of the pool has no reference and no mapping, and is on no list of the allocator or of reclaim. */
function isIdle(pool: HugetlbPool, page: Page): boolean {
  const { memmap } = pool.vm;
  const listed = memmap.test(page, PageFlag.lru | PageFlag.buddy);
  return pool.owns(page) && memmap.refcount(page) === 0 && memmap.mapping(page) === 0 && !listed;
}
