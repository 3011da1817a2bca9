// kswapd, the kernel thread of each node that reclaims in the background. kswapd is woken when the zones of a request
// are below their low watermarks, and works until one of them is above its high watermark. Kernel counterpart: kswapd()
// and balance_pgdat() in mm/vmscan.c. Not modelled: boosted watermarks, kcompactd.
import { condResched, type NodeId, type Preempt, type Sleeps } from "@hetmem/kernel";
import { LruList, type Lruvec, snapshotRefaults } from "@hetmem/mm/lru";
import { MAX_RECLAIM_RETRIES, SWAP_CLUSTER_MAX } from "@hetmem/mm/ports";
import { allZones, GFP_KERNEL, type MemoryNode, VmEvent, ZoneType } from "@hetmem/zone";
import type { NodeReclaim } from "./node-reclaim.ts";
import { isAboveMark, isBalanced } from "./node-watermarks.ts";
import type { ReclaimState } from "./reclaim-state.ts";
import { canReclaimAnon, targetInactiveIsLow } from "./scan-balance.ts";
import { ScanControl } from "./scan-control.ts";
import { shrinkActiveList } from "./shrink-active.ts";
import { shrinkNode } from "./shrink-node.ts";

/**
 * The thread: a task for a scheduler, which runs until it is stopped.
 *
 * @param id the node
 * @see kswapd()
 */
export function* kswapd(reclaim: ReclaimState, id: NodeId): Sleeps<void> {
  const state = reclaim.node(id);
  const wait: Preempt = { why: `kswapd${id}`, ready: () => state.stopped || isKswapdWanted(reclaim, id) };
  // Ends: when the thread is stopped.
  for (;;) {
    while (!wait.ready()) yield wait;
    if (state.stopped) return;
    yield* kswapdOnce(reclaim, id);
  }
}

/**
 * One activity of kswapd, from its wakeup to its sleep, for machines that don't schedule it.
 *
 * @see kswapd_try_to_sleep()
 */
export function* kswapdOnce(reclaim: ReclaimState, id: NodeId): Sleeps<void> {
  const node = reclaim.vm.memory.nodes[id];
  if (!node || !isKswapdWanted(reclaim, id)) return;
  const state = reclaim.node(id);
  let { order, highest } = wantedOf(state);
  state.answer();
  while (state.failures < MAX_RECLAIM_RETRIES && !isBalanced(node, order, highest)) {
    order = yield* balancePgdat(reclaim, node, order, highest);
    yield condResched;
  }
}

/**
 * Whether kswapd has work: it was woken, or all zones are below their low watermarks now; and the node isn't balanced.
 * A node on which MAX_RECLAIM_RETRIES rounds freed no page is left alone.
 *
 * @see wakeup_kswapd()
 */
export function isKswapdWanted(reclaim: ReclaimState, id: NodeId): boolean {
  const node = reclaim.vm.memory.nodes[id];
  const state = reclaim.node(id);
  if (!node || state.failures >= MAX_RECLAIM_RETRIES || !(state.asked || isLow(reclaim))) return false;
  const { order, highest } = wantedOf(state);
  return !isBalanced(node, order, highest);
}

/** Whether all zones of the machine are below their low watermarks for a request of a process. */
function isLow({ vm }: ReclaimState): boolean {
  for (const zone of allZones(vm.memory)) {
    const served = zone.managedPages > 0 && zone.type <= ZoneType.Movable;
    if (served && isAboveMark(zone, 0, "low", ZoneType.Movable, zone.freePages)) return false;
  }
  return true;
}

/** Order and highest zone to reclaim for: those of the wakeup, or of one page of a process without one. */
function wantedOf({ asked, order, highest }: NodeReclaim): { order: number; highest: number } {
  return asked ? { order, highest } : { order: 0, highest: ZoneType.Movable };
}

/**
 * Reclaims on a node until a zone up to `highest` is above its high watermark, or all of its lists have been scanned.
 *
 * @returns the order that it reclaimed for at the end
 * @see balance_pgdat()
 */
function* balancePgdat(
  reclaim: ReclaimState,
  node: MemoryNode,
  order: number,
  highest: number,
): Sleeps<number> {
  reclaim.vm.memory.allocator.countEvent(VmEvent.pageoutrun, 1);
  const state = reclaim.node(node.id);
  const scan = new ScanControl(reclaim, {
    reclaimer: "kswapd",
    nrToReclaim: 0,
    gfp: GFP_KERNEL,
    highest,
    maySwap: true,
    mayDemote: true,
  });
  const reached = yield* reclaim.asReclaimer(balance(scan, node, order));
  if (isBalanced(node, reached, highest)) state.dirty = false;
  else if (scan.nrReclaimed === 0) state.failures++;
  snapshotRefaults(scan.targetLruvec(node.id));
  return reached;
}

/** Rounds of reclaim with ever larger scans. @returns the order that it reclaimed for at the end */
function* balance(scan: ScanControl, node: MemoryNode, askedOrder: number): Sleeps<number> {
  const { highest } = scan.request;
  let order = askedOrder;
  while (scan.priority >= 1 && !isBalanced(node, order, highest)) {
    const before = scan.nrReclaimed;
    yield* ageNode(scan, node.id);
    scan.nrScanned = 0;
    scan.nrToReclaim = pagesWanted(node, highest);
    yield* shrinkNode(scan, node.id);
    // Free pages may never form a large block: after twice its size, kswapd goes on for single pages, and leaves the
    // rest to direct reclaim.
    if (order > 0 && scan.nrReclaimed >= 2 << order) order = 0;
    if (scan.nrScanned < scan.nrToReclaim || scan.nrReclaimed === before) scan.priority--;
  }
  return order;
}

/** Pages to free in one round: the high watermarks of the eligible zones. @see kswapd_shrink_node() */
function pagesWanted({ zones }: MemoryNode, highest: number): number {
  let pages = 0;
  for (const { type, managedPages, watermark } of zones)
    if (type <= highest && managedPages > 0)
      pages += Math.max(watermark.high + watermark.boost, SWAP_CLUSTER_MAX);
  return pages;
}

/**
 * Deactivates anonymous pages before they are needed, so that an access can activate them again before they are
 * reclaimed.
 *
 * @see kswapd_age_node()
 */
function* ageNode(scan: ScanControl, node: NodeId): Sleeps<void> {
  const { vm } = scan;
  if (vm.swap.totalPages === 0 && !canReclaimAnon(scan, node, undefined)) return;
  if (!targetInactiveIsLow(scan, node, LruList.inactiveAnon)) return;
  const { groups } = vm.charging;
  if (groups === undefined) {
    for (const lruvec of vm.lru.lruvecsOfNode(node)) yield* ageLruvec(scan, lruvec);
    return;
  }
  for (const group of groups.hierarchy(undefined)) {
    const lruvec = group.lruvec(node);
    if (lruvec) yield* ageLruvec(scan, lruvec);
  }
}

function* ageLruvec(scan: ScanControl, lruvec: Lruvec): Sleeps<void> {
  yield* shrinkActiveList(scan, lruvec, LruList.activeAnon, SWAP_CLUSTER_MAX);
}
