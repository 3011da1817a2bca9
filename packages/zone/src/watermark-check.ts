// Checks whether a zone may serve a request: its watermark, its lowmem reserve for requests limited to lower zones,
// and whether it has a free block that is large enough. Kernel counterpart: zone_watermark_fast(),
// __zone_watermark_ok() in mm/page_alloc.c.
import { Gfp } from "./gfp.ts";
import { type Zone, ZoneNumber } from "./zone.ts";
import { MAX_ORDER, MigrateType } from "./zone-type.ts";

/** The watermark that an allocation must respect. @see ALLOC_WMARK_LOW in mm/internal.h */
export const ALLOC_WMARK_LOW = 0;
export const ALLOC_WMARK_MIN = 1;
export const ALLOC_NO_WATERMARKS = 2;
export type AllocMark = typeof ALLOC_WMARK_LOW | typeof ALLOC_WMARK_MIN | typeof ALLOC_NO_WATERMARKS;

const { min: MIN, low: LOW, boost: BOOST, lowmemReserve: RESERVE, lowFor: LOW_FOR } = ZoneNumber;

/**
 * Whether a zone can give 2^order pages and stay above its watermark and lowmem reserve.
 *
 * @param highest the highest zone that may serve the request
 */
export function watermarkOk(
  zone: Zone,
  order: number,
  mark: AllocMark,
  highest: number,
  gfp: number,
): boolean {
  const { numbers, firstNumber: first } = zone;
  const free = numbers[first] as number;
  if (mark === ALLOC_WMARK_LOW && order === 0) return free > (numbers[first + LOW_FOR + highest] as number);
  if (mark === ALLOC_NO_WATERMARKS) return true;
  let min =
    (numbers[first + (mark === ALLOC_WMARK_LOW ? LOW : MIN)] as number) + (numbers[first + BOOST] as number);
  if (mark === ALLOC_WMARK_MIN && (gfp & Gfp.HIGH) !== 0) {
    min -= Math.floor(min / 2);
    // An atomic request may use another quarter. @see ALLOC_HARDER
    if ((gfp & (Gfp.DIRECT_RECLAIM | Gfp.NOMEMALLOC)) === 0) min -= Math.floor(min / 4);
  }
  if (free - ((1 << order) - 1) <= min + (numbers[first + RESERVE + highest] as number)) return false;
  return order === 0 || zone.deferred.pages > 0 || hasBlock(zone, order);
}

function hasBlock(zone: Zone, order: number): boolean {
  for (let level = order; level < MAX_ORDER; level++) {
    for (let type = MigrateType.Unmovable as number; type < MigrateType.HighAtomic; type++) {
      if (zone.free.blocks(level, type as MigrateType) > 0) return true;
    }
  }
  return false;
}
