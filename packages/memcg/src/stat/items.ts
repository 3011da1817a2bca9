// What is counted for each cgroup: of each node, those of the node's own counters that memory.stat shows, and beside
// them the cgroup's own counters and events. Kernel counterparts: enum memcg_stat_item in include/linux/memcontrol.h,
// memcg_vm_event_stat[] and memory_stats[] in mm/memcontrol.c.
import { type NodeStatName, NodeStat, type VmEventName, VmEvent } from "@hetmem/zone";

/** Lengths of LRU lists, by LruList: the lists know them. */
export const LRU_ITEMS = [
  "nr_inactive_anon",
  "nr_active_anon",
  "nr_inactive_file",
  "nr_active_file",
  "nr_unevictable",
] as const satisfies readonly NodeStatName[];
export type LruItem = (typeof LRU_ITEMS)[number];

/** Other counters of a node that each cgroup has its part of. At most 32: see StatRows. */
const COUNTED_ITEMS = [
  "nr_anon_pages",
  "nr_file_pages",
  "nr_kernel_stack",
  "nr_page_table_pages",
  "nr_shmem",
  "nr_mapped",
  "nr_dirty",
  "nr_writeback",
  "nr_swapcached",
  "nr_anon_transparent_hugepages",
  "workingset_refault_anon",
  "workingset_refault_file",
  "workingset_activate_anon",
  "workingset_activate_file",
  "workingset_restore_anon",
  "workingset_restore_file",
] as const satisfies readonly NodeStatName[];

/** What nothing here has: they are 0, and take no room. */
const ABSENT_ITEMS = [
  "nr_sec_page_table_pages",
  "nr_file_hugepages",
  "nr_shmem_hugepages",
  "nr_slab_reclaimable",
  "nr_slab_unreclaimable",
  "workingset_nodereclaim",
] as const satisfies readonly NodeStatName[];

/** Counters of a node that memory.stat shows. */
export const NODE_ITEMS = [...LRU_ITEMS, ...COUNTED_ITEMS, ...ABSENT_ITEMS] as const;
export type NodeItem = (typeof NODE_ITEMS)[number];

/** Events of the machine that are counted for each cgroup too. */
export const COUNTED_EVENTS = [
  "pgscan_kswapd",
  "pgscan_direct",
  "pgsteal_kswapd",
  "pgsteal_direct",
  "pgfault",
  "pgmajfault",
  "pgrefill",
  "pgactivate",
  "pgdeactivate",
  "pglazyfree",
  "pglazyfreed",
  "thp_fault_alloc",
  "thp_collapse_alloc",
] as const satisfies readonly VmEventName[];

/** What a cgroup counts without regard to nodes, in pages: kernel memory, that of sockets and of vmalloc(), and swap slots. Then events. */
export const CGROUP_ITEMS = [
  "kmem",
  "sock",
  "vmalloc",
  "swap",
  "pgpgin",
  "pgpgout",
  ...COUNTED_EVENTS,
] as const;
export type CgroupItem = (typeof CGROUP_ITEMS)[number];

/** The more of the two, so that all rows are alike. */
export const ROW_ITEMS: number = Math.max(COUNTED_ITEMS.length, CGROUP_ITEMS.length);

/** Place in a node's row by NodeStat; -1: not counted for cgroups. */
export const NODE_ITEM_OF: Int32Array = placesOf(COUNTED_ITEMS, NodeStat);
/** Place in a cgroup's row by VmEvent; -1: not counted for cgroups. */
export const EVENT_ITEM_OF: Int32Array = placesOf(CGROUP_ITEMS, VmEvent);

/** Place in a cgroup's row. */
export const CgroupItem: Readonly<Record<CgroupItem, number>> = Object.fromEntries(
  CGROUP_ITEMS.map((name, place) => [name, place]),
) as Record<CgroupItem, number>;

function placesOf(names: readonly string[], items: Readonly<Record<string, number>>): Int32Array {
  const places = new Int32Array(Object.keys(items).length).fill(-1);
  for (const [place, name] of names.entries()) {
    const item = items[name];
    if (item !== undefined) places[item] = place;
  }
  return places;
}
