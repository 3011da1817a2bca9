// Reclaim from the tail of an inactive list: isolates a batch, frees what can be freed, and records the cost, by which
// later scans are balanced.
// Kernel counterpart: shrink_inactive_list() in mm/vmscan.c.
import { condResched, type Sleeps } from "@hetmem/kernel";
import { ANON, FILE, isFileList, type LruList, type Lruvec, noteCost } from "@hetmem/mm/lru";
import { syncAll } from "@hetmem/page-cache";
import { Gfp, NodeStat, VmEvent } from "@hetmem/zone";
import { isolateLruPages } from "./isolate-lru.ts";
import { reclaimStat, type ScanControl } from "./scan-control.ts";
import { shrinkPageList } from "./shrink-page-list.ts";

/**
 * Scans pages of a list, and frees those that can be freed.
 *
 * @param nrToScan pages of 4 KiB to scan
 * @returns pages of 4 KiB freed
 * @see shrink_inactive_list()
 */
export function* shrinkInactiveList(
  scan: ScanControl,
  lruvec: Lruvec,
  list: LruList,
  nrToScan: number,
): Sleeps<number> {
  const { vm } = scan;
  const file = isFileList(list);
  if (tooManyIsolated(scan, lruvec, file)) {
    yield condResched;
    if (tooManyIsolated(scan, lruvec, file)) return 0;
  }
  const { pages, taken, scanned } = isolateLruPages(scan, lruvec, list, nrToScan);
  count(scan, lruvec, file, "pgscan", scanned);
  if (taken === 0) return 0;
  const stat = reclaimStat();
  const reclaimed = yield* shrinkPageList(scan, lruvec.node, pages, stat);
  count(scan, lruvec, file, "pgsteal", reclaimed);
  noteCost(vm, lruvec, file ? FILE : ANON, stat.pageout);
  scan.unqueuedDirty += stat.unqueuedDirty;
  if (file) scan.fileTaken += taken;
  // Every page of the batch is dirty and waits for a flusher thread. There is none: this task writes.
  if (stat.unqueuedDirty === taken && (scan.request.gfp & Gfp.FS) !== 0) yield* syncAll(vm);
  return reclaimed;
}

/** Whether other tasks have isolated so many pages that this one must wait for them. @see too_many_isolated() */
function tooManyIsolated(scan: ScanControl, { node }: Lruvec, file: boolean): boolean {
  if (scan.byKswapd) return false;
  const stat = scan.vm.memory.nodes[node]?.stat;
  if (!stat) return false;
  const isolated = stat[file ? NodeStat.nr_isolated_file : NodeStat.nr_isolated_anon] as number;
  let inactive = stat[file ? NodeStat.nr_inactive_file : NodeStat.nr_inactive_anon] as number;
  const { gfp } = scan.request;
  // A task that may not use files or disks (no Gfp.IO or Gfp.FS) must not wait for tasks that do: the limit for these
  // is lower.
  if ((gfp & Gfp.IO) !== 0 && (gfp & Gfp.FS) !== 0) inactive >>= 3;
  return isolated > inactive;
}

/** Counts pages by reclaimer and by kind. @see count_vm_events() */
function count(
  scan: ScanControl,
  lruvec: Lruvec,
  file: boolean,
  what: "pgscan" | "pgsteal",
  pages: number,
): void {
  const { charging, memory } = scan.vm;
  const { allocator } = memory;
  const event = VmEvent[`${what}_${scan.request.reclaimer}`];
  if (!scan.forCgroup) allocator.countEvent(event, pages);
  charging.counts?.lruvecEvent(lruvec, event, pages);
  allocator.countEvent(VmEvent[`${what}_${file ? "file" : "anon"}`], pages);
}
