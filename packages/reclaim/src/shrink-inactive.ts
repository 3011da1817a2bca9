// Frees pages from the tail of an inactive list. Kernel counterpart: shrink_inactive_list() in mm/vmscan.c.
import { condResched, type Sleeps } from "@hetmem/kernel";
import { ANON, FILE, isFileList, type LruList, type Lruvec, noteCost } from "@hetmem/mm/lru";
import { syncAll } from "@hetmem/page-cache";
import { Gfp, NodeStat, VmEvent } from "@hetmem/zone";
import { isolateLruPages } from "./isolate-lru.ts";
import { reclaimStat, type ScanControl } from "./scan-control.ts";
import { shrinkPageList } from "./shrink-page-list.ts";

/**
 * Looks at pages of a list and frees what it can.
 *
 * @param nrToScan small pages to look at
 * @returns small pages that are free now
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
  // All of them wait for a flusher. There are no flusher threads: who notices does their work.
  if (stat.unqueuedDirty === taken && (scan.request.gfp & Gfp.FS) !== 0) yield* syncAll(vm);
  return reclaimed;
}

/** Whether others are at work on so many pages that this one had better wait for them. @see too_many_isolated() */
function tooManyIsolated(scan: ScanControl, { node }: Lruvec, file: boolean): boolean {
  if (scan.byKswapd) return false;
  const stat = scan.vm.memory.nodes[node]?.stat;
  if (!stat) return false;
  const isolated = stat[file ? NodeStat.nr_isolated_file : NodeStat.nr_isolated_anon] as number;
  let inactive = stat[file ? NodeStat.nr_inactive_file : NodeStat.nr_inactive_anon] as number;
  const { gfp } = scan.request;
  // Who can't wait for files or disks must not wait for those who do.
  if ((gfp & Gfp.IO) !== 0 && (gfp & Gfp.FS) !== 0) inactive >>= 3;
  return isolated > inactive;
}

/** @see count_vm_events() */
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
