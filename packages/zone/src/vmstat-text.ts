// /proc/vmstat and the vmstat file of a node: one line for each counter, with its name. Kernel counterpart:
// mm/vmstat.c, node_read_vmstat() in drivers/base/node.c.
import { type BuildOption, type BuildOptions, everyOption } from "./build-options.ts";
import { allZones, type Memory } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import {
  NODE_STATS,
  type NodeStatName,
  NodeStat,
  NUMA_STATS,
  VM_EVENTS,
  VmEvent,
  ZONE_STATS,
} from "./vmstat.ts";
import { totalreservePages } from "./watermark.ts";
import { PAGEBLOCK_NR_PAGES } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

/** Most dirty memory, in percent of free memory and page cache. @see vm_dirty_ratio in mm/page-writeback.c */
const DIRTY_RATIO = 20;
/** Dirty memory at which background writeback starts, in percent of the same. @see dirty_background_ratio */
const DIRTY_BACKGROUND_RATIO = 10;
/** Counters that are kept in pages and printed in huge pages. @see vmstat_item_print_in_thp() */
const PRINTED_IN_HUGE_PAGES: ReadonlySet<NodeStatName> = new Set([
  "nr_anon_transparent_hugepages",
  "nr_file_hugepages",
  "nr_shmem_hugepages",
  "nr_shmem_pmdmapped",
  "nr_file_pmdmapped",
]);

/** Counters and events that are counted only with an option. @see vmstat_text in mm/vmstat.c */
const COUNTED_WITH: readonly (readonly [names: RegExp, option: BuildOption])[] = [
  [/_device$/, "ZONE_DEVICE"],
  [/^thp_/, "TRANSPARENT_HUGEPAGE"],
  [/^htlb_/, "HUGETLB_PAGE"],
  [/^numa_/, "NUMA_BALANCING"],
  [/^pgpromote_/, "NUMA_BALANCING"],
  [/^swap_ra/, "SWAP"],
  [/^nr_swapcached$/, "SWAP"],
];

function isBuilt(name: string, built: BuildOptions): boolean {
  return COUNTED_WITH.every(([names, option]) => !names.test(name) || built.has(option));
}

/** @see vmstat_start() in mm/vmstat.c */
export function vmstatText(memory: Memory, built: BuildOptions = everyOption): string {
  const zones = [...allZones(memory)];
  const nodes = memory.nodes.filter((node) => node !== undefined);
  return (
    countersOf(zones, nodes, built) +
    dirtyLimits(memory) +
    VM_EVENTS.map((name, item) => (isBuilt(name, built) ? `${name} ${eventCount(memory, item)}\n` : "")).join(
      "",
    ) +
    "nr_unstable 0\n"
  );
}

/** @see node_read_vmstat() in drivers/base/node.c */
export function nodeVmstatText(node: MemoryNode, built: BuildOptions = everyOption): string {
  return countersOf(node.zones, [node], built);
}

/** The sums of the nodes' counters as they are printed, in the kernel's order. @see node_page_state_pages() */
export function nodeCounters(
  nodes: readonly MemoryNode[],
  built: BuildOptions,
): [name: NodeStatName, value: number][] {
  return NODE_STATS.filter((name) => isBuilt(name, built)).map((name) => {
    const value = nodes.reduce((total, { stat }) => total + (stat[NodeStat[name]] ?? 0), 0);
    return [name, PRINTED_IN_HUGE_PAGES.has(name) ? Math.floor(value / PAGEBLOCK_NR_PAGES) : value];
  });
}

function countersOf(zones: readonly Zone[], nodes: readonly MemoryNode[], built: BuildOptions): string {
  const zoneLines = ZONE_STATS.map((name, item) => `${name} ${sum(zones, (zone) => zone.stat[item])}\n`);
  const numaLines = NUMA_STATS.map((name, item) => `${name} ${sum(zones, (zone) => zone.numaStat[item])}\n`);
  const nodeLines = nodeCounters(nodes, built).map(([name, value]) => `${name} ${value}\n`);
  return [...zoneLines, ...numaLines, ...nodeLines].join("");
}

/** @see global_dirty_limits() in mm/page-writeback.c */
function dirtyLimits(memory: Memory): string {
  const free = sum([...allZones(memory)], (zone) => zone.freePages);
  const files = memory.nodes.reduce((total, node) => {
    return total + (node?.stat[NodeStat.nr_inactive_file] ?? 0) + (node?.stat[NodeStat.nr_active_file] ?? 0);
  }, 0);
  const dirtyable = Math.max(0, free - totalreservePages(memory)) + files + 1;
  // The kernel computes the ratio in 1/4096 and rounds down.
  const threshold = Math.floor((Math.floor((DIRTY_RATIO * 4096) / 100) * dirtyable) / 4096);
  const background = Math.floor((Math.floor((DIRTY_BACKGROUND_RATIO * 4096) / 100) * dirtyable) / 4096);
  return `nr_dirty_threshold ${threshold}\nnr_dirty_background_threshold ${background}\n`;
}

/** pgpgin and pgpgout are counted in sectors of 512 bytes and shown in kilobytes. */
function eventCount({ allocator }: Memory, item: number): number {
  const count = allocator.events[item] ?? 0;
  return item === VmEvent.pgpgin || item === VmEvent.pgpgout ? Math.floor(count / 2) : count;
}

function sum(zones: readonly Zone[], value: (zone: Zone) => number | undefined): number {
  return zones.reduce((total, zone) => total + (value(zone) ?? 0), 0);
}
