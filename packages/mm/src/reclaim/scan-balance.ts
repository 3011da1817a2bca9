// How many pages of each list a round of reclaim looks at: anonymous pages or those of files, by what either has cost
// lately, by swappiness, and by how many there are. Kernel counterpart: prepare_scan_count() and get_scan_count() in
// mm/vmscan.c.
import { type NodeId, PAGE_SHIFT } from "@hetmem/kernel";
import { NodeStat, ZoneType } from "@hetmem/zone";
import { ANON, EVICTABLE_LISTS, FILE, isFileList, LruList, type Lruvec } from "./lruvec.ts";
import type { ScanControl } from "./scan-control.ts";
import { mayDemote } from "./shrink-page-list.ts";

/** Swappiness is from 0 to 200: at 100, a page in swap and one of a file cost the same to read back. */
const SWAPPINESS_MAX = 200;
const GIGABYTE_SHIFT: number = 30 - PAGE_SHIFT;

/** Looks at a node before its lists are shrunk. @see prepare_scan_count() */
export function prepareScanCount(scan: ScanControl, node: NodeId): void {
  const [target] = scan.lruvecsOf(node);
  if (!target) return;
  scan.cost.set(target.cost);
  for (const [kind, inactive] of [LruList.inactiveAnon, LruList.inactiveFile].entries()) {
    // Pages come back: what is active by now may be stale.
    const refaults = target.activations[kind] !== target.refaults[kind];
    scan.mayDeactivate[kind] = scan.forceDeactivate || refaults || inactiveIsLow(scan, target, inactive);
  }
  const inactiveFile = sizeOf(scan, node, LruList.inactiveFile);
  scan.cacheTrimMode = inactiveFile >> scan.priority > 0 && !scan.mayDeactivate[FILE];
  scan.fileIsTiny = !scan.forCgroup && isFileTiny(scan, node);
}

/** Pages to look at in each list, by LruList. @see get_scan_count() */
export function getScanCount(scan: ScanControl, lruvec: Lruvec): number[] {
  const shares = sharesOf(scan, lruvec.node);
  return EVICTABLE_LISTS.map((list) => {
    const pages = scan.vm.lru.size(lruvec, list, scan.request.highest);
    return Math.floor((pages >> scan.priority) * (shares[isFileList(list) ? FILE : ANON] as number));
  });
}

/**
 * Whether there are too few inactive pages for each to get a second chance: a list of a gigabyte wants a quarter of it
 * inactive, larger ones less.
 *
 * @see inactive_is_low()
 */
export function inactiveIsLow(scan: ScanControl, lruvec: Lruvec, inactive: LruList): boolean {
  const { lru } = scan.vm;
  const idle = lru.size(lruvec, inactive, ZoneType.Movable);
  const active = lru.size(lruvec, (inactive + 1) as LruList, ZoneType.Movable);
  const gigabytes = (idle + active) >> GIGABYTE_SHIFT;
  const ratio = gigabytes > 0 ? Math.floor(Math.sqrt(10 * gigabytes)) : 1;
  return idle * ratio < active;
}

/** Whether anonymous pages of a node can go anywhere. @see can_reclaim_anon_pages() */
export function canReclaimAnon(scan: ScanControl, node: NodeId): boolean {
  return scan.vm.swap.freePages > 0 || mayDemote(scan, node);
}

/** Which part of each kind's lists is looked at. */
function sharesOf(scan: ScanControl, node: NodeId): readonly [anon: number, file: number] {
  const { swappiness } = scan.vm.tunables;
  if (!scan.request.maySwap || !canReclaimAnon(scan, node)) return [0, 1];
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
  const anon = sizeOf(scan, node, LruList.inactiveAnon);
  return file + free <= high && !scan.mayDeactivate[ANON] && anon >> scan.priority > 0;
}

/** Pages of a list that the reclaim is about, in all zones of a node. */
function sizeOf(scan: ScanControl, node: NodeId, list: LruList): number {
  return scan
    .lruvecsOf(node)
    .reduce((sum, lruvec) => sum + scan.vm.lru.size(lruvec, list, ZoneType.Movable), 0);
}
