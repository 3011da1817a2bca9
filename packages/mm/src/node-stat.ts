// Counters of pages, kept for the page's node and for its memory cgroup on that node. Batches and migrations have
// variants of their own, which count a run of pages at once. Kernel counterparts: mod_node_page_state() and
// mod_lruvec_page_state() in include/linux/vmstat.h.
import type { Page } from "@hetmem/kernel";
import type { Vm } from "./vm.ts";

/**
 * Adds to a counter of a page's node that has no counterpart in cgroups.
 *
 * @param item by NodeStat
 * @param by in the unit of the counter
 * @see mod_node_page_state()
 */
export function addNodeOnlyStat({ memmap, nodeStats }: Vm, page: Page, item: number, by: number): void {
  const stat = nodeStats[memmap.nodeOf(page)] as Float64Array;
  stat[item] = (stat[item] as number) + by;
}

/**
 * Adds to a counter of a page's node and of its cgroup.
 *
 * @param item by NodeStat
 * @see mod_lruvec_page_state()
 */
export function addNodeStat({ memmap, nodeStats, charging }: Vm, page: Page, item: number, by: number): void {
  const node = memmap.nodeOf(page);
  const stat = nodeStats[node] as Float64Array;
  stat[item] = (stat[item] as number) + by;
  if (charging.counts !== undefined) charging.counts.page(page, node, item, by);
}

/**
 * Adds to the counters of the first `count` pages of an array.
 *
 * @param item by NodeStat
 * @param by for each page, in the unit of the counter
 */
export function addNodeStats(vm: Vm, pages: Int32Array, count: number, item: number, by: number): void {
  const { memmap, charging } = vm;
  for (let i = 0; i < count;) {
    const first = pages[i] as Page;
    const node = memmap.nodeOf(first);
    let run = 1;
    if (charging.counts === undefined)
      while (i + run < count && memmap.nodeOf(pages[i + run] as Page) === node) run++;
    addNodeStat(vm, first, item, by * run);
    i += run;
  }
}

/**
 * Moves a count of one page to the page that replaces it and has taken over its charge.
 *
 * @param item by NodeStat
 */
export function moveNodeStat(vm: Vm, from: Page, to: Page, item: number): void {
  const { memmap, nodeStats, charging } = vm;
  const node = memmap.nodeOf(from);
  const stat = nodeStats[node] as Float64Array;
  stat[item] = (stat[item] as number) - 1;
  if (charging.counts !== undefined) charging.counts.page(to, node, item, -1);
  addNodeStat(vm, to, item, 1);
}
