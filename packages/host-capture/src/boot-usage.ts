// Pages in use in each zone of a host, in three kinds: pages that memblock kept, pages of the kernel, which can't be moved, and
// pages of processes and the page cache, which can. Kernel counterpart of the file read: zoneinfo_show_print() in mm/vmstat.c.
import type { BootUsage } from "@hetmem/machine-spec";
import { freedLatePages } from "./freed-late.ts";
import type { Host } from "./host.ts";
import type { HostZone } from "./zoneinfo.ts";

const LRU = ["inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"];

export interface UsageOfHost {
  readonly usage: readonly BootUsage[];
  /**
   * Pages that MemTotal counts beyond the zones' `managed`: positive where the kernel has not handed them to its
   * allocator yet (deferred initialisation), negative where a balloon took them.
   */
  readonly beyondManaged: number;
}

/**
 * The usage of each zone that has pages. If MemTotal and the zones disagree, MemTotal holds, and the difference goes to the zones
 * with the widest gap between present and managed.
 */
export function usageOfHost(host: Host): UsageOfHost {
  const zones = host.zoneinfo.zones.filter((zone) => zone.present > 0 && isBootZone(zone.name));
  const managed = sum(zones.map((zone) => zone.managed));
  const memTotal = host.meminfo.get("MemTotal");
  const beyondManaged = memTotal === undefined ? 0 : memTotal / 4 - managed;
  const reserved = spread(zones, beyondManaged);
  const late = freedLatePages(zones);
  const usage = zones.map((zone, index) => ({
    ...heldBy(zone),
    reservedPages: reserved[index] ?? 0,
    freedLatePages: (late[index] ?? 0) + (zone.present - zone.managed - (reserved[index] ?? 0)),
  }));
  return { usage, beyondManaged };
}

/** Reserved pages of each zone after `pages` have moved from reserved to managed, or back where negative. */
function spread(zones: readonly HostZone[], pages: number): number[] {
  const reserved = zones.map((zone) => zone.present - zone.managed);
  let left = pages;
  const widestFirst = zones.map((_, index) => index).sort((a, b) => (reserved[b] ?? 0) - (reserved[a] ?? 0));
  for (const index of widestFirst) {
    const gap = reserved[index] ?? 0;
    const free = zones[index]?.free ?? 0;
    const moved = left > 0 ? Math.min(left, gap) : Math.max(left, -free);
    reserved[index] = gap - moved;
    left -= moved;
  }
  return reserved;
}

function heldBy(zone: HostZone): Omit<BootUsage, "reservedPages" | "freedLatePages"> {
  const name = zone.name as BootUsage["zone"];
  const used = Math.max(0, zone.managed - zone.free - sum(zone.pcp));
  const onLru = sum(LRU.map((list) => zone.stats.get(`nr_zone_${list}`) ?? 0));
  const movablePages = name === "Movable" ? used : Math.min(used, onLru);
  return { node: zone.node, zone: name, unmovablePages: used - movablePages, movablePages };
}

function isBootZone(name: string): boolean {
  return name === "DMA" || name === "DMA32" || name === "Normal" || name === "Movable";
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
