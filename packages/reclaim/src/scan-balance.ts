// How many pages of each list a round of reclaim looks at: anonymous pages or those of files, by what either has cost
// lately, by swappiness, and by how many there are. Kernel counterpart: prepare_scan_count() and get_scan_count() in
// mm/vmscan.c.
import { type NodeId, PAGE_SHIFT } from "@hetmem/kernel";
import { ANON, EVICTABLE_LISTS, FILE, isFileList, LruList, type Lruvec } from "@hetmem/mm/lru";
import type { ReclaimGroup } from "@hetmem/mm/ports";
import { NodeStat, ZoneType } from "@hetmem/zone";
import { type ScanControl, SWAP_CLUSTER_MAX } from "./scan-control.ts";
import { mayDemote } from "./shrink-page-list.ts";

/** Swappiness is from 0 to 200: at 100, a page in swap and one of a file cost the same to read back. */
const SWAPPINESS_MAX = 200;
const GIGABYTE_SHIFT: number = 30 - PAGE_SHIFT;

/** Looks at a node before its lists are shrunk. @see prepare_scan_count() */
export function prepareScanCount(scan: ScanControl, node: NodeId): void {
  const target = scan.targetLruvec(node);
  if (!target) return;
  scan.cost.set(target.cost);
  for (const [kind, inactive] of [LruList.inactiveAnon, LruList.inactiveFile].entries()) {
    // Pages come back: what is active by now may be stale.
    const refaults = target.activations[kind] !== target.refaults[kind];
    scan.mayDeactivate[kind] = scan.forceDeactivate || refaults || targetInactiveIsLow(scan, node, inactive);
  }
  const inactiveFile = targetSize(scan, node, LruList.inactiveFile);
  scan.cacheTrimMode = inactiveFile >> scan.priority > 0 && !scan.mayDeactivate[FILE];
  scan.fileIsTiny = !scan.forCgroup && isFileTiny(scan, node);
}

/**
 * Pages to look at in each list, by LruList.
 *
 * @param group whose lists they are; undefined where nobody divides memory
 * @see get_scan_count()
 */
export function getScanCount(scan: ScanControl, lruvec: Lruvec, group: ReclaimGroup | undefined): number[] {
  const shares = sharesOf(scan, lruvec.node, group);
  const spared = group === undefined ? 0 : sparedPart(scan, group);
  const online = group === undefined || group.online;
  return EVICTABLE_LISTS.map((list) => {
    const pages = scan.vm.lru.size(lruvec, list, scan.request.highest);
    // So few that the priority isn't lowered for them in vain.
    const exposed = spared === 0 ? pages : Math.max(pages - Math.floor(pages * spared), SWAP_CLUSTER_MAX);
    let count = exposed >> scan.priority;
    // Nobody uses a removed cgroup's pages as its own any more, however few they are.
    if (count === 0 && !online) count = Math.min(pages, SWAP_CLUSTER_MAX);
    const share = count * (shares[isFileList(list) ? FILE : ANON] as number);
    return online ? Math.floor(share) : Math.ceil(share);
  });
}

/**
 * Whether there are too few inactive pages for each to get a second chance: a list of a gigabyte wants a quarter of it
 * inactive, larger ones less.
 *
 * @see inactive_is_low()
 */
export function inactiveIsLow({ vm: { lru } }: ScanControl, lruvec: Lruvec, inactive: LruList): boolean {
  const idle = lru.size(lruvec, inactive, ZoneType.Movable);
  return isLow(idle, lru.size(lruvec, (inactive + 1) as LruList, ZoneType.Movable));
}

/** The same of all that is reclaimed on a node. */
export function targetInactiveIsLow(scan: ScanControl, node: NodeId, inactive: LruList): boolean {
  const idle = targetSize(scan, node, inactive);
  return isLow(idle, targetSize(scan, node, (inactive + 1) as LruList));
}

/** Whether anonymous pages on a node, a group's where memory is divided, can go anywhere. @see can_reclaim_anon_pages() */
export function canReclaimAnon(scan: ScanControl, node: NodeId, group: ReclaimGroup | undefined): boolean {
  const left = group === undefined ? scan.vm.swap.freePages : group.swapPagesLeft;
  return left > 0 || mayDemote(scan, node);
}

/** @param idle inactive pages */
function isLow(idle: number, active: number): boolean {
  const gigabytes = (idle + active) >> GIGABYTE_SHIFT;
  const ratio = gigabytes > 0 ? Math.floor(Math.sqrt(10 * gigabytes)) : 1;
  return idle * ratio < active;
}

/**
 * Which part of a group's pages is left alone: what memory.min and memory.low protect, of what it has.
 *
 * @see mem_cgroup_protection() in include/linux/memcontrol.h; 22f7496f0b90
 */
function sparedPart(scan: ScanControl, group: ReclaimGroup): number {
  if (group === scan.request.target) return 0;
  const { effectiveMin: min, effectiveLow: low } = group;
  let spared = min;
  if (!scan.lowReclaim && low > min) {
    spared = low;
    scan.lowSkipped = true;
  }
  return spared / (Math.max(group.size, spared) + 1);
}

/** Which part of each kind's lists is looked at. */
function sharesOf(
  scan: ScanControl,
  node: NodeId,
  group: ReclaimGroup | undefined,
): readonly [anon: number, file: number] {
  const { swappiness } = group ?? scan.vm.tunables;
  if (!scan.request.maySwap || !canReclaimAnon(scan, node, group)) return [0, 1];
  if (scan.forCgroup && swappiness === 0) return [0, 1];
  // So near to the end there is nothing to be clever about.
  if (scan.priority === 0 && swappiness > 0) return [1, 1];
  if (scan.fileIsTiny) return [1, 0];
  if (scan.cacheTrimMode) return [0, 1];
  // A kind's pressure is the inverse of its cost, and a third of it at least.
  const anon = scan.cost[ANON] as number;
  const file = scan.cost[FILE] as number;
  const total = anon + file;
  const anonPressure = Math.floor((swappiness * (3 * total + 1)) / (total + anon + 1));
  const filePressure = Math.floor(((SWAPPINESS_MAX - swappiness) * (3 * total + 1)) / (total + file + 1));
  const sum = anonPressure + filePressure;
  return [anonPressure / sum, filePressure / sum];
}

/** Whether pages of files are so few that shrinking them further only makes them come back. */
function isFileTiny(scan: ScanControl, node: NodeId): boolean {
  const { memory } = scan.vm;
  const { stat, zones } = memory.nodes[node] ?? {};
  if (!stat || !zones) return false;
  const file = (stat[NodeStat.nr_active_file] as number) + (stat[NodeStat.nr_inactive_file] as number);
  let free = 0;
  let high = 0;
  for (const zone of zones) {
    free += zone.freePages;
    if (zone.managedPages > 0) high += zone.watermark.high + zone.watermark.boost;
  }
  const anon = stat[NodeStat.nr_inactive_anon] as number;
  return file + free <= high && !scan.mayDeactivate[ANON] && anon >> scan.priority > 0;
}

/** Pages of a list that the reclaim is about, in all zones of a node. */
function targetSize({ vm, request }: ScanControl, node: NodeId, list: LruList): number {
  const { groups } = vm.charging;
  // The lists come first among a node's counters.
  if (groups === undefined || request.target === undefined) return vm.nodeStats[node]?.[list] ?? 0;
  let pages = 0;
  for (const group of groups.hierarchy(request.target)) {
    const lruvec = group.lruvec(node);
    if (lruvec) pages += vm.lru.size(lruvec, list, ZoneType.Movable);
  }
  return pages;
}
