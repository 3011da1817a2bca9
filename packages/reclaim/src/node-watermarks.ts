// Checks of a node, or of a zone for a request, against watermarks.
// Kernel counterparts: __zone_watermark_ok() and zone_reclaimable_pages(), in mm/page_alloc.c and mm/vmscan.c;
// pgdat_balanced() in mm/vmscan.c.
import {
  MAX_ORDER,
  type MemoryNode,
  MIGRATE_PCPTYPES,
  type MigrateType,
  type Zone,
  ZoneStat,
} from "@hetmem/zone";

/** Watermarks of a zone that reclaim uses. */
export type Mark = "min" | "low" | "high";

/**
 * Whether a zone would be above a watermark after a request.
 *
 * @param order log2 of the number of pages
 * @param highest highest zone that may serve the request
 * @param free free pages to assume
 * @see __zone_watermark_ok()
 */
export function isAboveMark(zone: Zone, order: number, mark: Mark, highest: number, free: number): boolean {
  const kept = zone.watermark[mark] + zone.watermark.boost + (zone.lowmemReserve[highest] ?? 0);
  if (free - ((1 << order) - 1) <= kept) return false;
  return order === 0 || zone.deferred.pages > 0 || hasBlock(zone, order);
}

/** Whether any eligible zone of a node is above its high watermark, or no zone is eligible. @see pgdat_balanced() */
export function isBalanced({ zones }: MemoryNode, order: number, highest: number): boolean {
  const eligible = zones.filter((zone) => zone.type <= highest && zone.managedPages > 0);
  return (
    eligible.length === 0 ||
    eligible.some((zone) => isAboveMark(zone, order, "high", highest, zone.freePages))
  );
}

/**
 * Pages of a zone that reclaim could free.
 *
 * @param withAnon whether anonymous pages count: there is swap, or a slower node
 * @see zone_reclaimable_pages()
 */
export function reclaimablePages({ stat }: Zone, withAnon: boolean): number {
  const file =
    (stat[ZoneStat.nr_zone_inactive_file] as number) + (stat[ZoneStat.nr_zone_active_file] as number);
  if (!withAnon) return file;
  const anon =
    (stat[ZoneStat.nr_zone_inactive_anon] as number) + (stat[ZoneStat.nr_zone_active_anon] as number);
  return file + anon;
}

/** Whether a zone has a free block of an order or a larger one. */
function hasBlock(zone: Zone, order: number): boolean {
  for (let level = order; level < MAX_ORDER; level++)
    for (let type = 0; type < MIGRATE_PCPTYPES; type++)
      if (zone.free.blocks(level, type as MigrateType) > 0) return true;
  return false;
}
