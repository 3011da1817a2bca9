// Direct reclaim: a task that needs memory, or whose cgroup is over its limit, reclaims it itself, and waits until a
// batch of pages is free.
// Kernel counterpart: try_to_free_pages() and try_to_free_mem_cgroup_pages() in mm/vmscan.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import { snapshotRefaults } from "@hetmem/mm/lru";
import { type ReclaimGroup, SWAP_CLUSTER_MAX } from "@hetmem/mm/ports";
import { Gfp, GFP_HIGHUSER_MOVABLE, onlineNodes, VmEvent, ZONE_NAMES, ZoneType } from "@hetmem/zone";
import type { ReclaimState } from "./reclaim-state.ts";
import { DEF_PRIORITY, type ReclaimRequest, ScanControl } from "./scan-control.ts";
import { shrinkNode } from "./shrink-node.ts";

/** Counters of direct reclaims, by zone. */
const ALLOCSTALL = ZONE_NAMES.map((name) => VmEvent[`allocstall_${name.toLowerCase() as "dma"}`]);

/** Gfp bits of the caller that reclaim for a cgroup obeys. @see GFP_RECLAIM_MASK */
const RECLAIM_MASK: number = Gfp.IO | Gfp.FS | Gfp.DIRECT_RECLAIM | Gfp.KSWAPD_RECLAIM;

/**
 * Frees pages for a request.
 *
 * @param nodes nodes that may serve the request, nearest first
 * @param highest highest zone that may serve it
 * @returns pages freed
 * @see try_to_free_pages()
 */
export function* tryToFreePages(
  state: ReclaimState,
  nodes: readonly NodeId[],
  gfp: number,
  highest: number,
): Sleeps<number> {
  return yield* doTryToFreePages(state, nodes, {
    reclaimer: "direct",
    nrToReclaim: SWAP_CLUSTER_MAX,
    gfp,
    highest,
    maySwap: true,
    mayDemote: true,
  });
}

/**
 * Frees pages of a cgroup and its descendants.
 *
 * @param nrPages pages to free; SWAP_CLUSTER_MAX at least
 * @param maySwap whether anonymous pages may go to swap
 * @returns pages freed
 * @see try_to_free_mem_cgroup_pages()
 */
export function* tryToFreeMemCgroupPages(
  state: ReclaimState,
  target: ReclaimGroup,
  nrPages: number,
  gfp: number,
  maySwap: boolean,
): Sleeps<number> {
  const nodes = onlineNodes(state.vm.memory).map((node) => node.id);
  const request: ReclaimRequest = {
    reclaimer: "direct",
    nrToReclaim: Math.max(nrPages, SWAP_CLUSTER_MAX),
    gfp: (gfp & RECLAIM_MASK) | (GFP_HIGHUSER_MOVABLE & ~RECLAIM_MASK),
    highest: ZoneType.Movable,
    target,
    maySwap,
    mayDemote: true,
  };
  return yield* state.asReclaimer(doTryToFreePages(state, nodes, request));
}

/**
 * Scans ever larger parts of the lists, until enough pages are free or all have been scanned.
 *
 * @see do_try_to_free_pages()
 */
function* doTryToFreePages(
  state: ReclaimState,
  nodes: readonly NodeId[],
  request: ReclaimRequest,
): Sleeps<number> {
  const { allocator } = state.vm.memory;
  const scan = new ScanControl(state, request);
  // Ends: each further turn drops one kind of protection: of active pages, then of memory.low.
  for (;;) {
    if (!scan.forCgroup) allocator.countEvent(ALLOCSTALL[request.highest] as number, 1);
    for (; scan.priority >= 0 && scan.nrReclaimed < scan.nrToReclaim; scan.priority--) {
      scan.nrScanned = 0;
      for (const node of nodes) yield* shrinkNode(scan, node);
    }
    for (const node of nodes) snapshotRefaults(scan.targetLruvec(node));
    if (scan.nrReclaimed > 0 || !dropProtection(scan)) return scan.nrReclaimed;
    scan.priority = DEF_PRIORITY;
  }
}

/** After a turn that freed no page: drops a protection that was in its way. @returns false if there was none */
function dropProtection(scan: ScanControl): boolean {
  if (scan.skippedDeactivate) {
    // Active pages were kept because of the size of the node's lists, although zones above the highest count there,
    // too: deactivate them.
    scan.forceDeactivate = true;
    scan.skippedDeactivate = false;
    return true;
  }
  if (!scan.lowSkipped) return false;
  // Pages under memory.low are reclaimed before the OOM killer kills a process.
  scan.forceDeactivate = false;
  scan.lowReclaim = true;
  scan.lowSkipped = false;
  return true;
}
