// Pages move between the per-cpu lists and the buddy in batches, so that most requests see neither the free lists nor
// the counters of the zone. Kernel counterpart: rmqueue_bulk(), free_pcppages_bulk() and drain_pages_zone() in
// mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { Pageblocks } from "./pageblock.ts";
import { PCP_LISTS, pcpListOrder, type PcpStacks, type PerCpuPages } from "./pcp.ts";
import type { Zone } from "./zone.ts";
import { MIGRATE_PCPTYPES, type MigrateType } from "./zone-type.ts";

/**
 * Moves a batch from the buddy to an empty list. What the buddy gave first is used first.
 *
 * @returns whether there was anything
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
  for (; blocks < wanted; blocks++) {
    const page = zone.takeBlock(order, type);
    if (page === NULL_PAGE) break;
    stacks.push(list, page);
  }
  stacks.reverse(list);
  pcp.count += blocks << order;
  return blocks > 0;
}

/** Puts a block on its list, and gives a batch back when the cpu has too many. @see free_unref_page_commit() */
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

/** Gives a batch back: the oldest blocks of the list that just grew, then those of the next. */
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
      drainOne(zone, stacks.popOldest(list), order, pageblocks);
      pcp.count -= 1 << order;
      left -= 1 << order;
    }
  }
}

/** Gives every page on a zone's per-cpu lists back. @see drain_all_pages() */
export function drainPcp(stacks: PcpStacks, zone: Zone, pageblocks: Pageblocks): void {
  for (const pcp of zone.pcp) {
    for (let i = 0; i < PCP_LISTS; i++) {
      const list = pcp.listAt(i);
      while (stacks.length(list) > 0) drainOne(zone, stacks.popOldest(list), pcpListOrder(i), pageblocks);
    }
    pcp.count = 0;
  }
}

/** A block goes to the lists of its pageblock, whichever list of the cpu it lay on. */
function drainOne(zone: Zone, page: Page, order: number, pageblocks: Pageblocks): void {
  zone.freeBlock(page, order, pageblocks.get(page), false);
}
