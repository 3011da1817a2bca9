// Whether a node, or a request, has memory enough by the watermarks of its zones. Kernel counterparts:
// __zone_watermark_ok() and zone_reclaimable_pages(), in mm/page_alloc.c and mm/vmscan.c; pgdat_balanced() in mm/vmscan.c.
import {
  MAX_ORDER,
  type MemoryNode,
  MIGRATE_PCPTYPES,
  type MigrateType,
  type Zone,
  ZoneStat,
} from "@hetmem/zone";

/** The marks of a zone that reclaim asks about. */
export type Mark = "min" | "low" | "high";

/**
 * Whether a zone would have a mark's pages left after a request.
 *
 * @param highest the highest zone that may serve the request
 * @param free pages to assume free
 * @see __zone_watermark_ok()
 */
export function isAboveMark(zone: Zone, order: number, mark: Mark, highest: number, free: number): boolean {
  const kept = zone.watermark[mark] + zone.watermark.boost + (zone.lowmemReserve[highest] ?? 0);
  if (free - ((1 << order) - 1) <= kept) return false;
  return order === 0 || zone.deferred.pages > 0 || hasBlock(zone, order);
}

/** Whether a zone that may serve the request is above its high mark, or there is none. @see pgdat_balanced() */
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
 * @param withAnon whether there is swap, or a slower node, for anonymous ones
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

/** Whether it has a free block of that order or a larger one. */
function hasBlock(zone: Zone, order: number): boolean {
  for (let level = order; level < MAX_ORDER; level++)
    for (let type = 0; type < MIGRATE_PCPTYPES; type++)
      if (zone.free.blocks(level, type as MigrateType) > 0) return true;
  return false;
}
