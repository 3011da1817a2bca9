// The counters of each cgroup: per node, the node counters shown in memory.stat; and the cgroup's own counters and
// events. Kernel counterparts: enum memcg_stat_item in include/linux/memcontrol.h, memcg_vm_event_stat[] and
// memory_stats[] in mm/memcontrol.c.
import { type NodeStatName, NodeStat, type VmEventName, VmEvent } from "@hetmem/zone";

/** Lengths of LRU lists, in the order of LruList. Read from the lists, not counted here. */
export const LRU_ITEMS = [
  "nr_inactive_anon",
  "nr_active_anon",
  "nr_inactive_file",
  "nr_active_file",
  "nr_unevictable",
] as const satisfies readonly NodeStatName[];

/** Node counters counted per cgroup. At most 32: see StatRows. */
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

/** Counters of unmodelled features: always 0, without a place in a row. */
const ABSENT_ITEMS = [
  "nr_sec_page_table_pages",
  "nr_file_hugepages",
  "nr_shmem_hugepages",
  "nr_slab_reclaimable",
  "nr_slab_unreclaimable",
  "workingset_nodereclaim",
] as const satisfies readonly NodeStatName[];

/** Node counters shown in memory.stat. */
export const NODE_ITEMS = [...LRU_ITEMS, ...COUNTED_ITEMS, ...ABSENT_ITEMS] as const;
export type NodeItem = (typeof NODE_ITEMS)[number];

/** VM events that are also counted per cgroup. */
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

/** Counters that aren't per node: kernel memory, socket buffers, vmalloc() and swap, in pages; then events. */
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

/** Length of a row: the maximum of both kinds, so that all rows have one layout. */
export const ROW_ITEMS: number = Math.max(COUNTED_ITEMS.length, CGROUP_ITEMS.length);

/** Index in a node's row by NodeStat; -1 when not counted per cgroup. */
export const NODE_ITEM_OF: Int32Array = placesOf(COUNTED_ITEMS, NodeStat);
/** Index in a cgroup's row by VmEvent; -1 when not counted per cgroup. */
export const EVENT_ITEM_OF: Int32Array = placesOf(CGROUP_ITEMS, VmEvent);

/** Index in a cgroup's row. */
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
