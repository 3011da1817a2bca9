// Port: demotion, by which reclaim moves cold pages to slower memory instead of evicting them. `TierDemotion` of the
// package migrate implements it, and moves them along the memory tiers. Without it reclaim evicts. Kernel
// counterparts: can_demote() and demote_folio_list() in mm/vmscan.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";

/** Counter in /proc/vmstat, by the task that demotes. */
export type DemotionCounter = "pgdemote_kswapd" | "pgdemote_direct";

export interface Demotion {
  /**
   * Whether reclaim may demote pages of a node. Atomic; called for each batch of pages, and for each list that is
   * scanned.
   *
   * @see can_demote()
   */
  canDemote(node: NodeId): boolean;
  /**
   * Migrates isolated pages, and counts those that moved.
   *
   * @param pages cold pages of one node, unlocked
   * @param node node of the pages
   * @param counter counter that the demoted pages are added to
   * @returns the pages that stayed, still isolated, which reclaim evicts
   * @see demote_folio_list()
   */
  demotePages(pages: readonly Page[], node: NodeId, counter: DemotionCounter): Sleeps<readonly Page[]>;
}

/** No demotion. */
export const noDemotion: Demotion = {
  canDemote: () => false,
  *demotePages(pages) {
    return pages;
  },
};
