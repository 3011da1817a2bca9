// Isolation of a batch of pages from the tail of an LRU list. An isolated page is on no list, and has a reference of
// reclaim.
// Kernel counterpart: isolate_lru_folios() in mm/vmscan.c.
import type { Page } from "@hetmem/kernel";
import type { LruList, Lruvec } from "@hetmem/mm/lru";
import { type ListId, NULL_PAGE } from "@hetmem/page";
import { VmEvent, ZONE_NAMES } from "@hetmem/zone";
import type { ScanControl } from "./scan-control.ts";

/** Counters of skipped pages, by zone. */
const PGSKIP = ZONE_NAMES.map((name) => VmEvent[`pgskip_${name.toLowerCase() as "dma"}`]);

export interface IsolatedPages {
  readonly pages: Page[];
  /** Pages isolated, in pages of 4 KiB. */
  readonly taken: number;
  /** Pages scanned, isolated or not, in pages of 4 KiB. */
  readonly scanned: number;
}

/**
 * Isolates pages until nrToScan pages of 4 KiB are scanned. Pages of zones above the highest of the request move to the
 * head of the list, so that the next batch doesn't meet them.
 *
 * @see isolate_lru_folios()
 */
export function isolateLruPages(
  scan: ScanControl,
  lruvec: Lruvec,
  list: LruList,
  nrToScan: number,
): IsolatedPages {
  const { memmap, lru, memory } = scan.vm;
  const { highest } = scan.request;
  const id = (lruvec.firstList + list) as ListId;
  const pages: Page[] = [];
  let taken = 0;
  let scanned = 0;
  let skipped = 0;
  for (let left = memmap.lists.count(id); left > 0 && scanned < nrToScan; left--) {
    const page = memmap.lists.last(id);
    if (page === NULL_PAGE) break;
    const small = 1 << memmap.compoundOrder(page);
    const zone = memmap.zoneOf(page);
    if (zone > highest) {
      lru.rotate(page);
      memory.allocator.countEvent(PGSKIP[zone] as number, small);
      skipped += small;
      continue;
    }
    scanned += small;
    if (!lru.isolate(page)) {
      lru.rotate(page);
      continue;
    }
    taken += small;
    pages.push(page);
  }
  return { pages, taken, scanned: scanned + skipped };
}
