// The balance between anonymous pages and pages of files: how many pages of each list a round of reclaim scans. It
// depends on the recent cost of each kind, on swappiness, and on the sizes of the lists. Kernel counterpart:
// prepare_scan_count() and get_scan_count() in mm/vmscan.c.
import { type NodeId, PAGE_SHIFT } from "@hetmem/kernel";
import { ANON, EVICTABLE_LISTS, FILE, isFileList, LruList, type Lruvec } from "@hetmem/mm/lru";
import { type ReclaimGroup, SWAP_CLUSTER_MAX } from "@hetmem/mm/ports";
import { NodeStat, ZoneType } from "@hetmem/zone";
import type { ScanControl } from "./scan-control.ts";
import { mayDemote } from "./shrink-page-list.ts";

/** Swappiness is 0 to 200. At 100, reading a page from swap and reading one from a file cost the same. */
const SWAPPINESS_MAX = 200;
/** Pages of 4 KiB in a GiB, as a shift. */
const GIGABYTE_SHIFT: number = 30 - PAGE_SHIFT;

/** Prepares the scan of a node: whether active pages may be deactivated, and the costs. @see prepare_scan_count() */
export function prepareScanCount(scan: ScanControl, node: NodeId): void {
  const target = scan.targetLruvec(node);
  if (!target) return;
  scan.cost.set(target.cost);
  for (const [kind, inactive] of [LruList.inactiveAnon, LruList.inactiveFile].entries()) {
    // Refaults since the last round: active pages may be colder than those that come back.
    const refaults = target.activations[kind] !== target.refaults[kind];
    scan.mayDeactivate[kind] = scan.forceDeactivate || refaults || targetInactiveIsLow(scan, node, inactive);
  }
  const inactiveFile = targetSize(scan, node, LruList.inactiveFile);
  scan.cacheTrimMode = inactiveFile >> scan.priority > 0 && !scan.mayDeactivate[FILE];
  scan.fileIsTiny = !scan.forCgroup && isFileTiny(scan, node);
}

/**
 * Pages to scan in each list, by LruList.
 *
 * @param group cgroup of the lists; undefined without cgroups
 * @see get_scan_count()
 */
export function getScanCount(scan: ScanControl, lruvec: Lruvec, group: ReclaimGroup | undefined): number[] {
  const shares = sharesOf(scan, lruvec.node, group);
  const protection = group === undefined ? 0 : protectedPart(scan, group);
  const online = group === undefined || group.online;
  return EVICTABLE_LISTS.map((list) => {
    const pages = scan.vm.lru.size(lruvec, list, scan.request.highest);
    // SWAP_CLUSTER_MAX at least, so that a protected cgroup doesn't lower the priority without any scan.
    const unprotected =
      protection === 0 ? pages : Math.max(pages - Math.floor(pages * protection), SWAP_CLUSTER_MAX);
    let count = unprotected >> scan.priority;
    // The pages of a removed cgroup are reclaimed, however few they are.
    if (count === 0 && !online) count = Math.min(pages, SWAP_CLUSTER_MAX);
    const share = count * (shares[isFileList(list) ? FILE : ANON] as number);
    return online ? Math.floor(share) : Math.ceil(share);
  });
}

/**
 * Whether there are too few inactive pages for each to get a second chance. The active list may be as long as the
 * inactive one times a ratio: 1 below a GiB, the square root of 10 times the GiB above.
 *
 * @see inactive_is_low()
 */
export function inactiveIsLow({ vm: { lru } }: ScanControl, lruvec: Lruvec, inactive: LruList): boolean {
  const idle = lru.size(lruvec, inactive, ZoneType.Movable);
  return isLow(idle, lru.size(lruvec, (inactive + 1) as LruList, ZoneType.Movable));
}

/** Does the same as inactiveIsLow(), for all lists on a node that are reclaimed. */
export function targetInactiveIsLow(scan: ScanControl, node: NodeId, inactive: LruList): boolean {
  const idle = targetSize(scan, node, inactive);
  return isLow(idle, targetSize(scan, node, (inactive + 1) as LruList));
}

/**
 * Whether anonymous pages on a node can be reclaimed: to swap, or to a slower node.
 *
 * @param group cgroup of the pages; undefined without cgroups
 * @see can_reclaim_anon_pages()
 */
export function canReclaimAnon(scan: ScanControl, node: NodeId, group: ReclaimGroup | undefined): boolean {
  const left = group === undefined ? scan.vm.swap.freePages : group.swapPagesLeft;
  return left > 0 || mayDemote(scan, node);
}

/** Whether inactive pages are few in comparison to active ones. @param idle inactive pages */
function isLow(idle: number, active: number): boolean {
  const gigabytes = (idle + active) >> GIGABYTE_SHIFT;
  const ratio = gigabytes > 0 ? Math.floor(Math.sqrt(10 * gigabytes)) : 1;
  return idle * ratio < active;
}

/**
 * The part of a cgroup's pages, from 0 to 1, that memory.min and memory.low protect.
 *
 * @see mem_cgroup_protection() in include/linux/memcontrol.h; 22f7496f0b90
 */
function protectedPart(scan: ScanControl, group: ReclaimGroup): number {
  if (group === scan.request.target) return 0;
  const { effectiveMin: min, effectiveLow: low } = group;
  let protection = min;
  if (!scan.lowReclaim && low > min) {
    protection = low;
    scan.lowSkipped = true;
  }
  return protection / (Math.max(group.size, protection) + 1);
}

/** The parts, from 0 to 1, of the anonymous and of the file lists to scan. */
function sharesOf(
  scan: ScanControl,
  node: NodeId,
  group: ReclaimGroup | undefined,
): readonly [anon: number, file: number] {
  const { swappiness } = group ?? scan.vm.tunables;
  if (!scan.request.maySwap || !canReclaimAnon(scan, node, group)) return [0, 1];
  if (scan.forCgroup && swappiness === 0) return [0, 1];
  // At the last priority both kinds are scanned as a whole.
  if (scan.priority === 0 && swappiness > 0) return [1, 1];
  if (scan.fileIsTiny) return [1, 0];
  if (scan.cacheTrimMode) return [0, 1];
  // The pressure on a kind is the inverse of its cost. The cost of the other kind counts to it, too, so that it is a
  // third at least.
  const anon = scan.cost[ANON] as number;
  const file = scan.cost[FILE] as number;
  const total = anon + file;
  const anonPressure = Math.floor((swappiness * (3 * total + 1)) / (total + anon + 1));
  const filePressure = Math.floor(((SWAPPINESS_MAX - swappiness) * (3 * total + 1)) / (total + file + 1));
  const sum = anonPressure + filePressure;
  return [anonPressure / sum, filePressure / sum];
}

/** Whether pages of files are so few that reclaiming more of them would cause thrashing. */
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

/** Pages of a list on a node, of all cgroups that are reclaimed, in all zones. */
function targetSize({ vm, request }: ScanControl, node: NodeId, list: LruList): number {
  const { groups } = vm.charging;
  // The counters of a node begin with those of its lists, in the order of LruList.
  if (groups === undefined || request.target === undefined) return vm.nodeStats[node]?.[list] ?? 0;
  let pages = 0;
  for (const group of groups.hierarchy(request.target)) {
    const lruvec = group.lruvec(node);
    if (lruvec) pages += vm.lru.size(lruvec, list, ZoneType.Movable);
  }
  return pages;
}
