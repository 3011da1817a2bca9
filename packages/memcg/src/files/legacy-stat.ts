// memory.stat and memory.numa_stat of the legacy hierarchy: counters of the cgroup itself, then sums with its
// descendants. Kernel counterparts: memcg_stat_show() and memcg_numa_stat_show() in mm/memcontrol.c.
import { type NodeId, PAGE_SIZE } from "@hetmem/kernel";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import { PAGE_COUNTER_MAX } from "../page-counter.ts";
import type { CgroupItem, NodeItem } from "../stat/items.ts";
import { byteLine } from "./counter-text.ts";

/** Lines of memory.stat: name, counter, and bytes per unit of the counter (1 for events). @see memcg1_stats[] */
const SIZES: readonly (readonly [name: string, item: NodeItem, unit: number])[] = [
  ["cache", "nr_file_pages", PAGE_SIZE],
  ["rss", "nr_anon_pages", PAGE_SIZE],
  ["rss_huge", "nr_anon_transparent_hugepages", PAGE_SIZE],
  ["shmem", "nr_shmem", PAGE_SIZE],
  ["mapped_file", "nr_mapped", PAGE_SIZE],
  ["dirty", "nr_dirty", PAGE_SIZE],
  ["writeback", "nr_writeback", PAGE_SIZE],
  ["workingset_refault_anon", "workingset_refault_anon", 1],
  ["workingset_refault_file", "workingset_refault_file", 1],
];
/** @see memcg1_events[] */
const EVENTS = ["pgpgin", "pgpgout", "pgfault", "pgmajfault"] as const satisfies readonly CgroupItem[];
/** @see lru_list_name() */
const LISTS = ["inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"] as const;
type List = (typeof LISTS)[number];
/** The LRU lists summed in each line of memory.numa_stat. */
const NUMA_LINES: readonly (readonly [name: string, lists: readonly List[]])[] = [
  ["total", LISTS],
  ["file", ["inactive_file", "active_file"]],
  ["anon", ["inactive_anon", "active_anon"]],
  ["unevictable", ["unevictable"]],
];

/** @see memcg_stat_show() */
export function legacyStatText(memcgs: MemoryCgroups, cgroup: MemoryCgroup): string {
  const limit = Array.from(cgroup.upwards(), ({ memory }) => memory.max).reduce(
    (a, b) => Math.min(a, b),
    PAGE_COUNTER_MAX,
  );
  return (
    statLines(memcgs, "", (read) => own(cgroup, read)) +
    `hierarchical_memory_limit ${byteLine(limit)}` +
    statLines(memcgs, "total_", (read) => read(cgroup))
  );
}

/** @see memcg_numa_stat_show() */
export function legacyNumaStatText(memcgs: MemoryCgroups, cgroup: MemoryCgroup): string {
  return (
    numaLines(memcgs, "", (read) => own(cgroup, read)) +
    numaLines(memcgs, "hierarchical_", (read) => read(cgroup))
  );
}

/** Reads a counter of a cgroup including its descendants. */
type Read = (cgroup: MemoryCgroup) => number;

/** A counter of the cgroup without its descendants. */
function own(cgroup: MemoryCgroup, read: Read): number {
  let value = read(cgroup);
  for (const child of cgroup.children()) value -= read(child);
  return value;
}

function statLines({ stats, built }: MemoryCgroups, prefix: string, value: (read: Read) => number): string {
  const sizes = SIZES.filter(([name]) => name !== "rss_huge" || built.has("TRANSPARENT_HUGEPAGE"));
  const lines = [
    ...sizes.map(([name, item, unit]) => `${name} ${value((of) => stats.allNodes(of, item)) * unit}`),
    ...EVENTS.map((item) => `${item} ${value((of) => stats.cgroup(of, item))}`),
    ...LISTS.map((list) => `${list} ${value((of) => stats.allNodes(of, `nr_${list}`)) * PAGE_SIZE}`),
  ];
  return lines.map((line) => `${prefix}${line}\n`).join("");
}

function numaLines({ memory, stats }: MemoryCgroups, prefix: string, value: (read: Read) => number): string {
  const nodes = memory.nodes.flatMap((node) => (node?.hasMemory === true ? [node.id] : []));
  const pages = (lists: readonly List[], node: NodeId): number =>
    lists.reduce((sum, list) => sum + value((of) => stats.node(of, node, `nr_${list}`)), 0);
  return NUMA_LINES.map(([name, lists]) => {
    const counts = nodes.map((node) => pages(lists, node));
    const total = counts.reduce((sum, count) => sum + count, 0);
    return `${prefix}${name}=${total}${nodes.map((node, i) => ` N${node}=${counts[i]}`).join("")}\n`;
  }).join("");
}
