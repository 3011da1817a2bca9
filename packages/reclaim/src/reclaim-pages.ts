// Reclaim of given pages, for madvise(MADV_PAGEOUT). The caller chooses and isolates the pages; no list is scanned, and
// no page is demoted.
// Kernel counterpart: reclaim_pages() in mm/vmscan.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { GFP_KERNEL, ZoneType } from "@hetmem/zone";
import type { ReclaimState } from "./reclaim-state.ts";
import { reclaimStat, ScanControl } from "./scan-control.ts";
import { shrinkPageList } from "./shrink-page-list.ts";

/**
 * Writes out and frees isolated pages (lru.isolate()). Pages that can't be freed are put back on their lists.
 *
 * @returns pages of 4 KiB freed
 * @see reclaim_pages()
 */
export function* reclaimPages(state: ReclaimState, pages: readonly Page[]): Sleeps<number> {
  return yield* state.asReclaimer(reclaimByNode(state, pages));
}

function* reclaimByNode(state: ReclaimState, all: readonly Page[]): Sleeps<number> {
  const { memmap } = state.vm;
  let reclaimed = 0;
  for (const node of new Set(all.map((page) => memmap.nodeOf(page)))) {
    const pages = all.filter((page) => memmap.nodeOf(page) === node);
    for (const page of pages) memmap.clear(page, PageFlag.active);
    const scan = new ScanControl(state, {
      reclaimer: "direct",
      nrToReclaim: pages.length,
      gfp: GFP_KERNEL,
      highest: ZoneType.Movable,
      maySwap: true,
      mayDemote: false,
    });
    reclaimed += yield* shrinkPageList(scan, node, pages, reclaimStat());
  }
  return reclaimed;
}
