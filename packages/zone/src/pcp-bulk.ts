// Moves pages between the per-cpu lists and the free lists in batches, so that most requests touch neither the zone's
// free lists nor its counters. Kernel counterpart: rmqueue_bulk(), free_pcppages_bulk() and drain_pages_zone() in
// mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { Pageblocks } from "./pageblock.ts";
import { PCP_LISTS, pcpListOrder, type PcpStacks, type PerCpuPages } from "./pcp.ts";
import type { Zone } from "./zone.ts";
import { MIGRATE_PCPTYPES, type MigrateType, PAGEBLOCK_ORDER } from "./zone-type.ts";

/**
 * Moves a batch from the free lists to an empty per-cpu list. Pages are used in the order in which the free lists
 * gave them. Larger blocks are taken whole where possible: a block of 32 pages has the same pages as 32 requests of
 * one page.
 *
 * @returns whether a block was moved
 */
export function refillPcp(
  stacks: PcpStacks,
  zone: Zone,
  pcp: PerCpuPages,
  order: number,
  type: MigrateType,
): boolean {
  const list = pcp.list(order, type);
  const wanted = pcp.batch > 1 ? Math.max(pcp.batch >> order, 2) : 1;
  let blocks = 0;
  while (blocks < wanted) {
    const most = order + 31 - Math.clz32(wanted - blocks);
    const level = zone.free.orderAtOnce(order, most, type);
    const page = zone.takeBlock(level, type);
    if (page === NULL_PAGE) break;
    const got = 1 << (level - order);
    for (let i = 0; i < got; i++) stacks.push(list, (page + (i << order)) as Page);
    blocks += got;
  }
  stacks.reverse(list);
  pcp.count += blocks << order;
  return blocks > 0;
}

/** Puts a block on its list, and drains a batch once the CPU has `high` pages. @see free_unref_page_commit() */
export function freeToPcp(
  stacks: PcpStacks,
  zone: Zone,
  pcp: PerCpuPages,
  page: Page,
  order: number,
  type: MigrateType,
  pageblocks: Pageblocks,
): void {
  stacks.push(pcp.list(order, type), page);
  pcp.count += 1 << order;
  if (pcp.count >= pcp.high) trimPcp(stacks, zone, pcp, order * MIGRATE_PCPTYPES + type, pageblocks);
}

/** Drains a batch: the oldest blocks of list `grown`, then those of the next lists. */
function trimPcp(
  stacks: PcpStacks,
  zone: Zone,
  pcp: PerCpuPages,
  grown: number,
  pageblocks: Pageblocks,
): void {
  let left = Math.min(pcp.batch, pcp.count);
  for (let i = grown; left > 0; i = (i + 1) % PCP_LISTS) {
    const list = pcp.listAt(i);
    const order = pcpListOrder(i);
    while (left > 0 && stacks.length(list) > 0) {
      const pages = drainRun(stacks, zone, list, order, left, pageblocks);
      pcp.count -= pages;
      left -= pages;
    }
  }
}

/** Drains all pages of a zone's per-cpu lists. @see drain_all_pages() */
export function drainPcp(stacks: PcpStacks, zone: Zone, pageblocks: Pageblocks): void {
  for (const pcp of zone.pcp) {
    for (let i = 0; i < PCP_LISTS; i++) {
      const list = pcp.listAt(i);
      while (stacks.length(list) > 0) drainRun(stacks, zone, list, pcpListOrder(i), Infinity, pageblocks);
    }
    pcp.count = 0;
  }
}

/**
 * Drains the oldest block of a list and the next ones that are adjacent to it in memory. Pages allocated in a row are
 * mostly freed in a row, and merging them here is faster than on the free lists. The pages go to the free lists of
 * their pageblock's type, which may differ from the per-cpu list's.
 *
 * @param most pages to drain at most; at least one block is drained
 * @returns the number of pages drained
 */
function drainRun(
  stacks: PcpStacks,
  zone: Zone,
  list: number,
  order: number,
  most: number,
  pageblocks: Pageblocks,
): number {
  const step = 1 << order;
  let start = stacks.popOldest(list) as number;
  const pageblock = start >>> PAGEBLOCK_ORDER;
  let end = start + step;
  while (end - start < most && stacks.oldest(list) === end && end >>> PAGEBLOCK_ORDER === pageblock) {
    stacks.popOldest(list);
    end += step;
  }
  const pages = end - start;
  const type = pageblocks.get(start as Page);
  while (start < end) {
    // Order of the largest aligned block at `start` that fits.
    const level = Math.min(31 - Math.clz32(start & -start), 31 - Math.clz32(end - start));
    zone.freeBlock(start as Page, level, type, false);
    start += 1 << level;
  }
  return pages;
}
