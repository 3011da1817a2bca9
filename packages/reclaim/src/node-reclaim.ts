// What reclaim keeps of one node: what kswapd is asked for there, and how it fared. Kernel counterpart: the kswapd_
// fields of struct pglist_data in include/linux/mmzone.h.
import type { NodeId } from "@hetmem/kernel";

/** After so many rounds that freed nothing, kswapd leaves a node to direct reclaim. @see MAX_RECLAIM_RETRIES */
export const MAX_RECLAIM_RETRIES = 16;
/** Nobody asks. */
const NO_ZONE_ASKED = -1;

export class NodeReclaim {
  readonly node: NodeId;
  /** The largest order that kswapd is asked for. @see kswapd_order */
  order = 0;
  /** The highest zone that it is asked for. @see kswapd_highest_zoneidx */
  highest: number = NO_ZONE_ASKED;
  /** Rounds in a row that freed nothing. @see kswapd_failures */
  failures = 0;
  /** The lists end in dirty pages of files only: kswapd writes them. @see PGDAT_DIRTY */
  dirty = false;
  /** kswapd is to end, as when the node's memory goes offline. @see kthread_stop() */
  stopped = false;

  constructor(node: NodeId) {
    this.node = node;
  }

  /** Whether kswapd has been woken and has not answered yet. */
  get asked(): boolean {
    return this.highest !== NO_ZONE_ASKED;
  }

  /** Wakes kswapd. @see wakeup_kswapd() */
  ask(order: number, highest: number): void {
    this.order = Math.max(this.order, order);
    this.highest = Math.max(this.highest, highest);
  }

  /** kswapd is at work: whoever asks from now on asks anew. */
  answer(): void {
    this.order = 0;
    this.highest = NO_ZONE_ASKED;
  }
}
