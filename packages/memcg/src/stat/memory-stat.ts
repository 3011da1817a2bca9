// The text of memory.stat and memory.numa_stat, and the counter of each line. Kernel counterparts: memory_stats[],
// memory_stat_format() and memory_numa_stat_show() in mm/memcontrol.c.
import { KiB, PAGE_SIZE } from "@hetmem/kernel";
import type { BuildOptions } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import { type CgroupItem, COUNTED_EVENTS, type NodeItem } from "./items.ts";

/** A line of both files, with the bytes per unit of its counter; 1 for events. */
interface NodeLine {
  readonly name: string;
  readonly item: NodeItem;
  readonly unit: number;
}

/** A line of memory.stat only: a counter that isn't per node, or "none" for an unmodelled feature. */
interface CgroupLine {
  readonly name: string;
  readonly item: CgroupItem | "none";
}

/** @see memory_stats[] */
const LINES: readonly (NodeLine | CgroupLine)[] = [
  pages("anon", "nr_anon_pages"),
  pages("file", "nr_file_pages"),
  { name: "kernel", item: "kmem" },
  { name: "kernel_stack", item: "nr_kernel_stack", unit: KiB },
  pages("pagetables", "nr_page_table_pages"),
  pages("sec_pagetables", "nr_sec_page_table_pages"),
  { name: "percpu", item: "none" },
  { name: "sock", item: "sock" },
  { name: "vmalloc", item: "vmalloc" },
  pages("shmem", "nr_shmem"),
  pages("file_mapped", "nr_mapped"),
  pages("file_dirty", "nr_dirty"),
  pages("file_writeback", "nr_writeback"),
  pages("swapcached", "nr_swapcached"),
  pages("anon_thp", "nr_anon_transparent_hugepages"),
  pages("file_thp", "nr_file_hugepages"),
  pages("shmem_thp", "nr_shmem_hugepages"),
  pages("inactive_anon", "nr_inactive_anon"),
  pages("active_anon", "nr_active_anon"),
  pages("inactive_file", "nr_inactive_file"),
  pages("active_file", "nr_active_file"),
  pages("unevictable", "nr_unevictable"),
  pages("slab_reclaimable", "nr_slab_reclaimable"),
  pages("slab_unreclaimable", "nr_slab_unreclaimable"),
  event("workingset_refault_anon"),
  event("workingset_refault_file"),
  event("workingset_activate_anon"),
  event("workingset_activate_file"),
  event("workingset_restore_anon"),
  event("workingset_restore_file"),
  event("workingset_nodereclaim"),
];

/** @see memory_stat_format() */
export function memoryStatText(memcgs: MemoryCgroups, cgroup: MemoryCgroup): string {
  const { stats, built } = memcgs;
  let text = "";
  let slab = 0;
  for (const line of linesOf(built)) {
    const size =
      "unit" in line ? stats.allNodes(cgroup, line.item) * line.unit : cgroupSize(memcgs, cgroup, line);
    text += `${line.name} ${size}\n`;
    if (line.name === "slab_reclaimable") slab = size;
    if (line.name === "slab_unreclaimable") text += `slab ${slab + size}\n`;
  }
  const events = (item: CgroupItem): number => stats.cgroup(cgroup, item);
  text += `pgscan ${events("pgscan_kswapd") + events("pgscan_direct")}\n`;
  text += `pgsteal ${events("pgsteal_kswapd") + events("pgsteal_direct")}\n`;
  for (const item of COUNTED_EVENTS) if (isBuilt(item, built)) text += `${item} ${events(item)}\n`;
  return text;
}

/** @see memory_numa_stat_show() */
export function memoryNumaStatText({ memory, stats, built }: MemoryCgroups, cgroup: MemoryCgroup): string {
  const nodes = memory.nodes.flatMap((node) => (node?.hasMemory === true ? [node.id] : []));
  const lines = linesOf(built).flatMap((line) => {
    if (!("unit" in line)) return [];
    const sizes = nodes.map((node) => ` N${node}=${stats.node(cgroup, node, line.item) * line.unit}`);
    return [`${line.name}${sizes.join("")}\n`];
  });
  return lines.join("");
}

function linesOf(built: BuildOptions): (NodeLine | CgroupLine)[] {
  return LINES.filter(({ name }) => isBuilt(name, built));
}

/** @see CONFIG_SWAP and CONFIG_TRANSPARENT_HUGEPAGE in memory_stats[] and memcg_vm_event_stat[] */
function isBuilt(name: string, built: BuildOptions): boolean {
  if (name === "swapcached") return built.has("SWAP");
  return !/^thp_|_thp$/.test(name) || built.has("TRANSPARENT_HUGEPAGE");
}

function cgroupSize({ stats }: MemoryCgroups, cgroup: MemoryCgroup, { item }: CgroupLine): number {
  return item === "none" ? 0 : stats.cgroup(cgroup, item) * PAGE_SIZE;
}

function pages(name: string, item: NodeItem): NodeLine {
  return { name, item, unit: PAGE_SIZE };
}

function event(item: NodeItem): NodeLine {
  return { name: item, item, unit: 1 };
}
