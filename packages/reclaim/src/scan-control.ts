// One reclaim on its way: what it is for, what it may do, and what has come of it. Kernel counterpart: struct
// scan_control and struct reclaim_stat in mm/vmscan.c.
import type { NodeId } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import type { Lruvec } from "@hetmem/mm/lru";
import type { ReclaimGroup } from "@hetmem/mm/ports";

/** Of each list, 1/2^12 is looked at first; each round that doesn't help looks at twice as much. */
export const DEF_PRIORITY = 12;
/** Pages that reclaim takes off a list at a time, and that it wants to free at least. */
export const SWAP_CLUSTER_MAX = 32;

/** Who reclaims: it decides what is counted, and kswapd alone may write pages of files. */
export type Reclaimer = "kswapd" | "direct";

/** What a reclaim is for and what it may do. */
export interface ReclaimRequest {
  readonly reclaimer: Reclaimer;
  readonly nrToReclaim: number;
  readonly gfp: number;
  /** The highest zone that pages are wanted of. @see reclaim_idx */
  readonly highest: number;
  /** The cgroup that is over its limit, with those below it. Absent: the machine. @see target_mem_cgroup */
  readonly target?: ReclaimGroup;
  /** Whether anonymous pages may go to swap. */
  readonly maySwap: boolean;
  /** Whether cold pages may go to a slower node. */
  readonly mayDemote: boolean;
}

/** A reclaim on its way. @see struct scan_control */
export class ScanControl {
  readonly vm: Vm;
  readonly request: ReclaimRequest;
  nrToReclaim: number;
  priority: number = DEF_PRIORITY;
  /** Whether active pages of each kind may be deactivated; decided anew for each node. */
  readonly mayDeactivate: [anon: boolean, file: boolean] = [false, false];
  /** Deactivate whatever the lists look like: the last resort. */
  forceDeactivate = false;
  /** There were active pages that were left alone. */
  skippedDeactivate = false;
  /** Cgroups below their memory.low are reclaimed too. */
  lowReclaim = false;
  /** There were some that were left alone. */
  lowSkipped = false;
  /** There are so many inactive pages of files that no others are looked at. */
  cacheTrimMode = false;
  /** There are so few pages of files that they are left alone. */
  fileIsTiny = false;
  /** What reclaim of each kind has cost on the node that is shrunk. */
  readonly cost: Float64Array = new Float64Array(2);
  nrScanned = 0;
  nrReclaimed = 0;
  /** Of this look at a node. */
  unqueuedDirty = 0;
  fileTaken = 0;

  constructor(vm: Vm, request: ReclaimRequest) {
    this.vm = vm;
    this.request = request;
    this.nrToReclaim = request.nrToReclaim;
  }

  /** @see current_is_kswapd() */
  get byKswapd(): boolean {
    return this.request.reclaimer === "kswapd";
  }

  /** Whether it is for a cgroup rather than for the machine. @see cgroup_reclaim() */
  get forCgroup(): boolean {
    return this.request.target !== undefined;
  }

  /** The lists at the top of what is reclaimed on a node; undefined for a cgroup that has none there. @see mem_cgroup_lruvec() */
  targetLruvec(node: NodeId): Lruvec | undefined {
    const { target } = this.request;
    return target ? target.lruvec(node) : this.vm.lru.lruvecsOfNode(node)[0];
  }
}

/** What became of a batch of pages. @see struct reclaim_stat */
export interface ReclaimStat {
  /** Dirty pages of files that nobody is writing yet. */
  unqueuedDirty: number;
  /** Pages that were written out. */
  pageout: number;
  /** Pages that were used, or can't go. */
  activated: number;
}

export function reclaimStat(): ReclaimStat {
  return { unqueuedDirty: 0, pageout: 0, activated: 0 };
}
