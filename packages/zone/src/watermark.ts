// Computes the limits of each zone: the watermarks at which requests fail and kswapd starts and stops, the lowmem
// reserve that requests for higher zones must leave in lower ones, and the size of the per-cpu lists. All are
// computed again whenever a zone's managed pages change. Kernel counterpart: init_per_zone_wmark_min() in
// mm/page_alloc.c.
import { MiB, PAGE_SIZE, pagesToKiB } from "@hetmem/kernel";
import { allZones, type Memory, onlineCpuCount } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import type { Zone } from "./zone.ts";
import { MIGRATE_PCPTYPES, PAGEBLOCK_NR_PAGES, ZoneType } from "./zone-type.ts";
import { nrFreeZonePages } from "./zonelist.ts";

/**
 * The lowmem reserve of a zone is the managed pages of the zones above divided by this; 0 means no reserve. Indexed
 * by ZoneType.
 *
 * @see sysctl_lowmem_reserve_ratio
 */
const LOWMEM_RESERVE_RATIO = [256, 256, 32, 0, 0] as const;
/** Least distance between watermarks, in 1/10,000 of the zone's managed pages. @see watermark_scale_factor */
const WATERMARK_SCALE_FACTOR = 10;
const MIN_FREE_KBYTES_MIN = 128;
const MIN_FREE_KBYTES_MAX = 262_144;
/**
 * With fewer managed pages, transparent huge pages are off and khugepaged doesn't run.
 *
 * @see hugepage_init() in mm/huge_memory.c
 */
const TRANSPARENT_HUGEPAGE_MIN_PAGES = (512 * MiB) / PAGE_SIZE;
/** Highest value of normalThreshold(), in pages. @see calculate_normal_threshold() in mm/vmstat.c */
const STAT_THRESHOLD_MAX = 125;
const PAGES_PER_128_MIB = (128 * MiB) / PAGE_SIZE;

/**
 * Sets the watermarks, the lowmem reserves and the per-cpu limits of every zone.
 *
 * @see init_per_zone_wmark_min() in mm/page_alloc.c
 */
export function initPerZoneWmarkMin(memory: Memory): void {
  calculateMinFreeKbytes(memory);
  setupPerZoneWmarks(memory);
  setupPerZoneLowmemReserve(memory);
  setRecommendedMinFreeKbytes(memory);
}

/**
 * Pages that the machine keeps free in total: each zone's high watermark and largest lowmem reserve.
 *
 * @see calculate_totalreserve_pages()
 */
export function totalreservePages(memory: Memory): number {
  let sum = 0;
  for (const zone of allZones(memory)) {
    const reserve = Math.max(...zone.lowmemReserve) + zone.watermark.high;
    sum += Math.min(reserve, zone.managedPages);
  }
  return sum;
}

/**
 * The most that a CPU's per-cpu counter of a zone may differ from the zone's, in pages.
 *
 * @see calculate_normal_threshold() in mm/vmstat.c
 */
export function normalThreshold(memory: Memory, zone: Zone): number {
  const units = Math.floor(zone.managedPages / PAGES_PER_128_MIB);
  return Math.min(STAT_THRESHOLD_MAX, 2 * fls(onlineCpuCount(memory)) * (1 + fls(units)));
}

/** @see calculate_min_free_kbytes() */
function calculateMinFreeKbytes(memory: Memory): void {
  const lowmemKbytes = pagesToKiB(nrFreeZonePages(memory, ZoneType.Normal));
  const root = Math.floor(Math.sqrt(lowmemKbytes * 16));
  memory.counters.minFreeKbytes = Math.min(Math.max(root, MIN_FREE_KBYTES_MIN), MIN_FREE_KBYTES_MAX);
}

/** @see setup_per_zone_wmarks() */
function setupPerZoneWmarks(memory: Memory): void {
  const pagesMin = Math.floor((memory.counters.minFreeKbytes * 1024) / PAGE_SIZE);
  const lowmemPages = [...allZones(memory)].reduce((sum, zone) => sum + zone.managedPages, 0);
  for (const node of memory.nodes) {
    for (const zone of node?.zones ?? []) {
      const { watermark, managedPages } = zone;
      const share = lowmemPages === 0 ? 0 : Math.floor((pagesMin * managedPages) / lowmemPages);
      const apart = Math.max(share >> 2, Math.floor((managedPages * WATERMARK_SCALE_FACTOR) / 10_000));
      watermark.min = share;
      watermark.low = share + apart;
      watermark.high = share + 2 * apart;
      watermark.boost = 0;
      if (node) setPcpLimits(memory, node, zone);
    }
  }
}

/** @see zone_set_pageset_high_and_batch() */
function setPcpLimits(memory: Memory, node: MemoryNode, zone: Zone): void {
  const cpus = node.cpus.length || onlineCpuCount(memory);
  const batch = Math.max(1, zoneBatchsize(zone));
  const high = Math.max(Math.floor(zone.watermark.low / Math.max(cpus, 1)), batch * 4);
  for (const pcp of zone.pcp) {
    pcp.high = high;
    pcp.batch = batch;
  }
}

/**
 * Batch in pages: 2^n - 1, near a quarter of 1/1024 of the zone's managed pages, at most of 1 MiB.
 *
 * @see zone_batchsize()
 */
function zoneBatchsize(zone: Zone): number {
  const quarter = Math.floor(Math.min(zone.managedPages >> 10, MiB / PAGE_SIZE) / 4);
  const batch = Math.max(quarter, 1);
  return 2 ** (fls(batch + (batch >> 1)) - 1) - 1;
}

/** @see setup_per_zone_lowmem_reserve() */
function setupPerZoneLowmemReserve({ nodes }: Memory): void {
  for (const node of nodes) {
    for (const zone of node?.zones ?? []) {
      const ratio = LOWMEM_RESERVE_RATIO[zone.type];
      let above = 0;
      for (const upper of node?.zones.slice(zone.type + 1) ?? []) {
        above += upper.managedPages;
        zone.setLowmemReserve(
          upper.type,
          ratio === 0 || zone.managedPages === 0 ? 0 : Math.floor(above / ratio),
        );
      }
    }
  }
}

/**
 * Raises min_free_kbytes for khugepaged: two free pageblocks in each zone, and MIGRATE_PCPTYPES squared more, so that
 * stealing doesn't mix migrate types. The limit is 5 % of the managed pages above the high watermarks.
 *
 * @see set_recommended_min_free_kbytes() in mm/khugepaged.c
 */
function setRecommendedMinFreeKbytes(memory: Memory): void {
  if (!memory.counters.khugepaged) return;
  const zones = [...allZones(memory)].filter((zone) => zone.populated && zone.type <= ZoneType.Normal).length;
  const wanted = PAGEBLOCK_NR_PAGES * zones * (2 + MIGRATE_PCPTYPES * MIGRATE_PCPTYPES);
  const affordable = Math.floor(nrFreeZonePages(memory, ZoneType.Normal) / 20);
  const { counters } = memory;
  counters.minFreeKbytes = Math.max(counters.minFreeKbytes, pagesToKiB(Math.min(wanted, affordable)));
  setupPerZoneWmarks(memory);
}

/** Whether a machine runs khugepaged. @param managedPages of all zones @see hugepage_init() in mm/huge_memory.c */
export function runsKhugepaged(managedPages: number): boolean {
  return managedPages >= TRANSPARENT_HUGEPAGE_MIN_PAGES;
}

/** Position of the highest set bit, from 1; 0 for 0. @see fls() */
function fls(value: number): number {
  return 32 - Math.clz32(value);
}
