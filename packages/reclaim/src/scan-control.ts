// One run of reclaim: its target, its permissions and its result. Every function of reclaim below the entry points gets
// it as its first argument.
// Kernel counterpart: struct scan_control and struct reclaim_stat in mm/vmscan.c.
import type { NodeId } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import type { Lruvec } from "@hetmem/mm/lru";
import type { ReclaimGroup } from "@hetmem/mm/ports";
import type { ReclaimState } from "./reclaim-state.ts";

/** First priority: 1/2^12 of each list is scanned. Each lower priority scans twice as much. */
export const DEF_PRIORITY = 12;

/** The task that reclaims. Counters depend on it, and only kswapd writes pages of files. */
export type Reclaimer = "kswapd" | "direct";

/** Target and permissions of a run. */
export interface ReclaimRequest {
  readonly reclaimer: Reclaimer;
  readonly nrToReclaim: number;
  readonly gfp: number;
  /** Highest zone of which pages are wanted. @see reclaim_idx */
  readonly highest: number;
  /**
   * Cgroup that is over its limit, reclaimed with its descendants; absent: the whole machine.
   *
   * @see target_mem_cgroup
   */
  readonly target?: ReclaimGroup;
  /** Whether anonymous pages may go to swap. */
  readonly maySwap: boolean;
  /** Whether cold pages may be demoted to a slower node. */
  readonly mayDemote: boolean;
}

/** A run of reclaim. @see struct scan_control */
export class ScanControl {
  readonly vm: Vm;
  readonly state: ReclaimState;
  readonly request: ReclaimRequest;
  nrToReclaim: number;
  priority: number = DEF_PRIORITY;
  /** Whether active pages of each kind may be deactivated; set for each node. */
  readonly mayDeactivate: [anon: boolean, file: boolean] = [false, false];
  /** Whether active pages are deactivated in any case: a last resort. */
  forceDeactivate = false;
  /** Whether active pages were kept. */
  skippedDeactivate = false;
  /** Whether cgroups below their memory.low are reclaimed, too. */
  lowReclaim = false;
  /** Whether a cgroup was skipped because of memory.low. */
  lowSkipped = false;
  /** Whether inactive pages of files are so many that only these are scanned. */
  cacheTrimMode = false;
  /** Whether pages of files are so few that only anonymous ones are scanned. */
  fileIsTiny = false;
  /** Recent cost of reclaim, by kind, on the node being scanned. */
  readonly cost: Float64Array = new Float64Array(2);
  nrScanned = 0;
  nrReclaimed = 0;
  /** Dirty pages without writeback, in this round on a node. */
  unqueuedDirty = 0;
  fileTaken = 0;

  constructor(state: ReclaimState, request: ReclaimRequest) {
    this.vm = state.vm;
    this.state = state;
    this.request = request;
    this.nrToReclaim = request.nrToReclaim;
  }

  /** Whether kswapd reclaims. @see current_is_kswapd() */
  get byKswapd(): boolean {
    return this.request.reclaimer === "kswapd";
  }

  /** Whether a cgroup is reclaimed rather than the machine. @see cgroup_reclaim() */
  get forCgroup(): boolean {
    return this.request.target !== undefined;
  }

  /**
   * The lists of the target on a node: of its cgroup, or of the root; undefined for a cgroup without any there.
   *
   * @see mem_cgroup_lruvec()
   */
  targetLruvec(node: NodeId): Lruvec | undefined {
    const { target } = this.request;
    return target ? target.lruvec(node) : this.vm.lru.lruvecsOfNode(node)[0];
  }
}

/** Result of a batch, in pages of 4 KiB. @see struct reclaim_stat */
export interface ReclaimStat {
  /** Dirty pages of files without writeback. */
  unqueuedDirty: number;
  /** Pages written out. */
  pageout: number;
  /** Pages moved to the active list: they were accessed, or can't be freed. */
  activated: number;
}

export function reclaimStat(): ReclaimStat {
  return { unqueuedDirty: 0, pageout: 0, activated: 0 };
}
