// Invariants of the pool: each free page is idle, and as many are free as are promised to mappings.
import type { Page } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import type { HugetlbPool } from "./hugetlb-pool.ts";

export function* poolFindings(pool: HugetlbPool): Generator<string, void, void> {
  const { memmap } = pool.vm;
  const { total, free, reserved, surplus } = pool.counts;
  if (reserved < 0 || reserved > free) yield `${reserved} huge pages are promised, and ${free} are free`;
  if (surplus > total) yield `${surplus} of ${total} huge pages are surplus`;
  for (const page of pool.freePages()) if (!isIdle(pool, page)) yield `free: ${describePage(memmap, page)}`;
}

function isIdle(pool: HugetlbPool, page: Page): boolean {
  const { memmap } = pool.vm;
  const listed = memmap.test(page, PageFlag.lru | PageFlag.buddy);
  return pool.owns(page) && memmap.refcount(page) === 0 && memmap.mapping(page) === 0 && !listed;
}
