// Reclaim by the one who needs memory, or whose cgroup is over its limit. Kernel counterpart: try_to_free_pages() and
// try_to_free_mem_cgroup_pages() in mm/vmscan.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import { snapshotRefaults } from "@hetmem/mm/lru";
import type { ReclaimGroup } from "@hetmem/mm/ports";
import { Gfp, GFP_HIGHUSER_MOVABLE, onlineNodes, VmEvent, ZONE_NAMES, ZoneType } from "@hetmem/zone";
import { reclaimState } from "./reclaim-state.ts";
import { DEF_PRIORITY, type ReclaimRequest, ScanControl, SWAP_CLUSTER_MAX } from "./scan-control.ts";
import { shrinkNode } from "./shrink-node.ts";

const ALLOCSTALL = ZONE_NAMES.map((name) => VmEvent[`allocstall_${name.toLowerCase() as "dma"}`]);

/** What a reclaim may do is what its caller may. @see GFP_RECLAIM_MASK */
const RECLAIM_MASK: number = Gfp.IO | Gfp.FS | Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM;

/**
 * Frees pages for a request.
 *
 * @param nodes the nodes that may serve it, the nearest first
 * @param highest the highest zone that may
 * @returns pages that are free now
 * @see try_to_free_pages()
 */
export function* tryToFreePages(
  vm: Vm,
  nodes: readonly NodeId[],
  gfp: number,
  highest: number,
): Sleeps<number> {
  return yield* doTryToFreePages(vm, nodes, {
    reclaimer: "direct",
    nrToReclaim: SWAP_CLUSTER_MAX,
    gfp,
    highest,
    maySwap: true,
    mayDemote: true,
  });
}

/**
 * Frees pages of a cgroup and those below it.
 *
 * @param maySwap whether anonymous pages may go
 * @returns pages that it has less now
 * @see try_to_free_mem_cgroup_pages()
 */
export function* tryToFreeMemCgroupPages(
  vm: Vm,
  target: ReclaimGroup,
  nrPages: number,
  gfp: number,
  maySwap: boolean,
): Sleeps<number> {
  const nodes = onlineNodes(vm.memory).map((node) => node.id);
  const request: ReclaimRequest = {
    reclaimer: "direct",
    nrToReclaim: Math.max(nrPages, SWAP_CLUSTER_MAX),
    gfp: (gfp & RECLAIM_MASK) | (GFP_HIGHUSER_MOVABLE & ~RECLAIM_MASK),
    highest: ZoneType.Movable,
    target,
    maySwap,
    mayDemote: true,
  };
  return yield* reclaimState(vm).asReclaimer(doTryToFreePages(vm, nodes, request));
}

/** Looks at ever larger parts of the lists, until enough is free or all has been looked at. @see do_try_to_free_pages() */
function* doTryToFreePages(vm: Vm, nodes: readonly NodeId[], request: ReclaimRequest): Sleeps<number> {
  const scan = new ScanControl(vm, request);
  // Ends: each turn more stops being spared, first what is active and then what is protected.
  for (;;) {
    if (!scan.forCgroup) vm.memory.allocator.countEvent(ALLOCSTALL[request.highest] as number, 1);
    for (; scan.priority >= 0 && scan.nrReclaimed < scan.nrToReclaim; scan.priority--) {
      scan.nrScanned = 0;
      for (const node of nodes) yield* shrinkNode(scan, node);
    }
    for (const node of nodes) snapshotRefaults(scan.targetLruvec(node));
    if (scan.nrReclaimed > 0 || !sparesLess(scan)) return scan.nrReclaimed;
    scan.priority = DEF_PRIORITY;
  }
}

/** Nothing was freed. @returns whether something was spared that the next attempt need not spare */
function sparesLess(scan: ScanControl): boolean {
  if (scan.skippedDeactivate) {
    // What is active was spared for what is on the lists of the node, not of the zones that count: once more without.
    scan.forceDeactivate = true;
    scan.skippedDeactivate = false;
    return true;
  }
  if (!scan.lowSkipped) return false;
  // Before somebody is killed, what memory.low protects goes.
  scan.forceDeactivate = false;
  scan.lowReclaim = true;
  scan.lowSkipped = false;
  return true;
}
