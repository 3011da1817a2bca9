// One round of reclaim on a node: scans each of its lists, in batches, up to the list's share or until enough pages are
// free. Kernel counterpart: shrink_node(), shrink_node_memcgs() and shrink_lruvec() in mm/vmscan.c. Not modelled:
// shrinkers of kernel caches, reclaim for compaction.
import { condResched, type NodeId, type Sleeps } from "@hetmem/kernel";
import { shrinkDeferredSplits } from "@hetmem/mm/huge";
import { ANON, EVICTABLE_LISTS, FILE, isFileList, LruList, type Lruvec } from "@hetmem/mm/lru";
import { type ReclaimGroup, type ReclaimGroups, SWAP_CLUSTER_MAX } from "@hetmem/mm/ports";
import { canReclaimAnon, getScanCount, inactiveIsLow, prepareScanCount } from "./scan-balance.ts";
import { DEF_PRIORITY, type ScanControl } from "./scan-control.ts";
import { shrinkActiveList } from "./shrink-active.ts";
import { shrinkInactiveList } from "./shrink-inactive.ts";

/** Reclaims pages of a node. Adds the result to `scan`. @see shrink_node() */
export function* shrinkNode(scan: ScanControl, node: NodeId): Sleeps<void> {
  const before = scan.nrReclaimed;
  const state = scan.state.node(node);
  scan.unqueuedDirty = 0;
  scan.fileTaken = 0;
  prepareScanCount(scan, node);
  yield* shrinkGroups(scan, node);
  if (!scan.forCgroup) yield* shrinkDeferredSplits(scan.vm, node, scan.priority);
  if (scan.byKswapd && scan.fileTaken > 0 && scan.unqueuedDirty === scan.fileTaken) state.dirty = true;
  if (scan.nrReclaimed > before) state.failures = 0;
}

/** Reclaims from each cgroup in proportion to its unprotected size. @see shrink_node_memcgs() */
function* shrinkGroups(scan: ScanControl, node: NodeId): Sleeps<void> {
  const { vm } = scan;
  const { groups } = vm.charging;
  if (groups === undefined) {
    for (const lruvec of vm.lru.lruvecsOfNode(node)) {
      yield condResched;
      yield* shrinkLruvec(scan, lruvec, undefined);
    }
    return;
  }
  const { target } = scan.request;
  for (const group of groups.hierarchy(target)) {
    yield condResched;
    groups.calculateProtection(target, group);
    if (group !== target && isProtected(scan, groups, group)) continue;
    const lruvec = group.lruvec(node);
    if (lruvec) yield* shrinkLruvec(scan, lruvec, group);
  }
}

/**
 * Whether all pages of a cgroup are protected: by memory.min always, by memory.low unless `scan` overrides it. The
 * target of the run isn't protected.
 *
 * @see mem_cgroup_below_min(), mem_cgroup_below_low()
 */
function isProtected(scan: ScanControl, groups: ReclaimGroups, group: ReclaimGroup): boolean {
  const { size, effectiveMin, effectiveLow } = group;
  if (effectiveMin === 0 && effectiveLow === 0) return false;
  if (size <= effectiveMin) return true;
  if (size > effectiveLow) return false;
  if (!scan.lowReclaim) {
    scan.lowSkipped = true;
    return true;
  }
  groups.noteLow(group);
  return false;
}

/** Reclaims from the lists of one cgroup on one node. @see shrink_lruvec() */
function* shrinkLruvec(scan: ScanControl, lruvec: Lruvec, group: ReclaimGroup | undefined): Sleeps<void> {
  const targets = getScanCount(scan, lruvec, group);
  const left = [...targets];
  // The first round of direct reclaim scans all of its small share. Other rounds stop when enough pages are free.
  const whole = !scan.forCgroup && !scan.byKswapd && scan.priority === DEF_PRIORITY;
  let reclaimed = 0;
  let adjusted = whole;
  while (left[LruList.inactiveAnon] || left[LruList.activeFile] || left[LruList.inactiveFile]) {
    for (const list of EVICTABLE_LISTS) {
      const nrToScan = Math.min(left[list] as number, SWAP_CLUSTER_MAX);
      if (nrToScan === 0) continue;
      left[list] = (left[list] as number) - nrToScan;
      reclaimed += yield* shrinkList(scan, lruvec, list, nrToScan);
    }
    yield condResched;
    if (reclaimed < scan.nrToReclaim || adjusted) continue;
    if (!keepProportion(targets, left)) break;
    adjusted = true;
  }
  scan.nrReclaimed += reclaimed;
  // Anonymous pages are aged even if none of them is reclaimed.
  const ages = scan.vm.swap.totalPages > 0 || canReclaimAnon(scan, lruvec.node, undefined);
  if (ages && inactiveIsLow(scan, lruvec, LruList.inactiveAnon))
    yield* shrinkActiveList(scan, lruvec, LruList.activeAnon, SWAP_CLUSTER_MAX);
}

/** Scans a part of a list. @see shrink_list() */
function* shrinkList(scan: ScanControl, lruvec: Lruvec, list: LruList, nrToScan: number): Sleeps<number> {
  if (list === LruList.inactiveAnon || list === LruList.inactiveFile)
    return yield* shrinkInactiveList(scan, lruvec, list, nrToScan);
  if (scan.mayDeactivate[isFileList(list) ? FILE : ANON] === true)
    yield* shrinkActiveList(scan, lruvec, list, nrToScan);
  else scan.skippedDeactivate = true;
  return 0;
}

/**
 * Cuts the rest of a round when enough pages are free: the kind with less left to scan is not scanned any more, and the
 * other kind only up to the same part of its share.
 *
 * @returns false if one kind has nothing left: the round ends
 */
function keepProportion(targets: readonly number[], left: number[]): boolean {
  const sum = (counts: readonly number[], first: number): number =>
    (counts[first] as number) + (counts[first + 1] as number);
  const anon = sum(left, LruList.inactiveAnon);
  const file = sum(left, LruList.inactiveFile);
  if (anon === 0 || file === 0) return false;
  const smaller = file > anon ? LruList.inactiveAnon : LruList.inactiveFile;
  const larger = file > anon ? LruList.inactiveFile : LruList.inactiveAnon;
  const undone = sum(left, smaller) / (sum(targets, smaller) + 1);
  for (const offset of [0, 1]) {
    left[smaller + offset] = 0;
    const target = targets[larger + offset] as number;
    const done = target - (left[larger + offset] as number);
    left[larger + offset] = Math.max(0, Math.floor(target * (1 - undone)) - done);
  }
  return true;
}
