// The state of reclaim on one node: the request that kswapd was woken for, and the number of its rounds that failed.
// Allocations set the request, kswapd clears it. Kernel counterpart: the kswapd_ fields of struct pglist_data in
// include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";

/** Value of `highest` while kswapd isn't woken. */
const NO_ZONE_ASKED = -1;

export class NodeReclaim {
  readonly node: NodeId;
  /** Largest order that kswapd was woken for. @see kswapd_order */
  order = 0;
  /** Highest zone that kswapd was woken for. @see kswapd_highest_zoneidx */
  highest: number = NO_ZONE_ASKED;
  /** Consecutive rounds that freed no page. @see kswapd_failures */
  failures = 0;
  /** The tails of the lists hold only dirty pages of files: kswapd writes them. @see PGDAT_DIRTY */
  dirty = false;
  /** kswapd is to end, as when the node has no memory any more. @see kthread_stop() */
  stopped = false;

  constructor(node: NodeId) {
    this.node = node;
  }

  /** Whether kswapd was woken and has not started yet. */
  get asked(): boolean {
    return this.highest !== NO_ZONE_ASKED;
  }

  /**
   * Wakes kswapd.
   *
   * @param order log2 of the number of pages
   * @param highest highest zone of the request
   * @see wakeup_kswapd()
   */
  ask(order: number, highest: number): void {
    this.order = Math.max(this.order, order);
    this.highest = Math.max(this.highest, highest);
  }

  /** Clears the wakeup: kswapd has started, and a later wakeup counts anew. */
  answer(): void {
    this.order = 0;
    this.highest = NO_ZONE_ASKED;
  }
}
