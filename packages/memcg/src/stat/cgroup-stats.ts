// The counters of each cgroup: one row of its own, and one for each node with charges. Rows are found by the id of a
// page. Kernel counterparts: mod_memcg_state(), mod_lruvec_state() and memcg_page_state() in mm/memcontrol.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { CgroupCounts, MmStruct } from "@hetmem/mm";
import type { Lruvec } from "@hetmem/mm/lru";
import { NodeStat } from "@hetmem/zone";
import { type CgroupIds, NOBODY, ROOT_ID } from "../cgroup-ids.ts";
import type { CgroupLruvecs } from "../cgroup-lruvecs.ts";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { CgroupItem, EVENT_ITEM_OF, LRU_ITEMS, NODE_ITEM_OF, type NodeItem } from "./items.ts";
import { NO_ROW, StatRows } from "./stat-rows.ts";

// Module-local copies for the hot paths: V8 reads an imported binding at each use.
const UNPAID = NOBODY;
const ROOT = ROOT_ID;
const NONE = NO_ROW;
const NODE_PLACES = NODE_ITEM_OF;
const EVENT_PLACES = EVENT_ITEM_OF;

export class CgroupStats implements CgroupCounts {
  private readonly rows: StatRows = new StatRows();
  private readonly ids: CgroupIds;
  /** The owner of each page: the array of MemoryCgroups, which replaces it when the array grows. */
  owners: Uint16Array;
  private readonly lruvecs: CgroupLruvecs;
  private readonly nodes: number;
  /** Rows by id: its own row, then one per node. NO_ROW where none exists. */
  private rowOf: Int32Array;
  private readonly stride: number;

  /**
   * @param owners cgroup id of each page
   * @param nodes number of possible nodes
   */
  constructor(ids: CgroupIds, owners: Uint16Array, lruvecs: CgroupLruvecs, nodes: number) {
    this.ids = ids;
    this.owners = owners;
    this.nodes = nodes;
    this.lruvecs = lruvecs;
    this.stride = nodes + 1;
    this.rowOf = new Int32Array(64 * this.stride);
  }

  page(page: Page, node: NodeId, item: number, by: number): void {
    const id = this.owners[page] as number;
    const place = NODE_PLACES[item] as number;
    if (id !== UNPAID && place >= 0) this.rows.add(this.row(id, node + 1), place, by);
  }

  vmallocPage(page: Page, by: number): void {
    const id = this.owners[page] as number;
    if (id !== NOBODY) this.add(id, CgroupItem.vmalloc, by);
  }

  pageEvent(page: Page, event: number, by: number): void {
    const id = this.owners[page] as number;
    const place = EVENT_ITEM_OF[event] as number;
    if (id !== NOBODY && place >= 0) this.rows.add(this.row(id, 0), place, by);
  }

  mmEvent({ payer }: MmStruct, event: number, by: number): void {
    this.rows.add(this.row(payer === UNPAID ? ROOT : payer, 0), EVENT_PLACES[event] as number, by);
  }

  lruvecEvent({ id }: Lruvec, event: number, by: number): void {
    const place = EVENT_ITEM_OF[event] as number;
    if (place >= 0) this.rows.add(this.row(this.lruvecs.owner(id), 0), place, by);
  }

  /** Changes a counter that isn't per node. @see mod_memcg_state() */
  add(id: number, item: number, by: number): void {
    this.rows.add(this.row(id, 0), item, by);
  }

  /** A counter of a cgroup including its descendants. @see memcg_page_state(), memcg_events() */
  cgroup({ id }: MemoryCgroup, item: CgroupItem): number {
    if (item === "pgpgin") this.flushArrivals();
    return this.rows.total(this.rowOf[id * this.stride] ?? NO_ROW, CgroupItem[item]);
  }

  /** A node counter of a cgroup including its descendants. @see lruvec_page_state() */
  node(cgroup: MemoryCgroup, node: NodeId, item: NodeItem): number {
    const list = LISTS.indexOf(item);
    if (list >= 0) return this.lruvecs.listSize(cgroup, node, list);
    const place = placeOf(item);
    return place < 0 ? 0 : this.rows.total(this.rowOf[cgroup.id * this.stride + node + 1] ?? NO_ROW, place);
  }

  /** A node counter summed over all nodes. @see memcg_page_state() */
  allNodes(cgroup: MemoryCgroup, item: NodeItem): number {
    let sum = 0;
    for (let node = 0; node < this.nodes; node++) sum += this.node(cgroup, node as NodeId, item);
    return sum;
  }

  /** Removes the counters of reparented kernel memory from a removed cgroup; the parent's totals keep them. */
  surrenderKernel({ id }: MemoryCgroup): void {
    const first = id * this.stride;
    for (const item of [CgroupItem.kmem, CgroupItem.vmalloc])
      this.rows.surrender(this.rowOf[first] as number, item);
    for (let node = 1; node <= this.nodes; node++)
      for (const item of KERNEL_ITEMS) this.rows.surrender(this.rowOf[first + node] as number, item);
  }

  /** Forgets the rows of a kernel memory id that is reparented or freed. */
  forget(id: number): void {
    this.ids.settle();
    this.flushArrival(id);
    this.rowOf.fill(NO_ROW, id * this.stride, (id + 1) * this.stride);
  }

  /** Frees the rows of a freed cgroup; the ancestors' totals keep its counts. */
  release({ id }: MemoryCgroup): void {
    this.ids.settle();
    this.flushArrival(id);
    for (let i = 0; i < this.stride; i++) {
      const row = this.rowOf[id * this.stride + i] as number;
      if (row !== NO_ROW) this.rows.release(row);
    }
    this.rowOf.fill(NO_ROW, id * this.stride, (id + 1) * this.stride);
  }

  private flushArrivals(): void {
    this.ids.settle();
    for (let id = ROOT_ID; id < this.ids.end; id++) this.flushArrival(id);
  }

  private flushArrival(id: number): void {
    const { arrived } = this.ids;
    const times = arrived[id] as number;
    if (times === 0) return;
    arrived[id] = 0;
    this.add(id, CgroupItem.pgpgin, times);
  }

  /** The row of an id, created if needed. @param which 0 for the cgroup's own row, node number + 1 for a node's */
  private row(id: number, which: number): number {
    const row = this.rowOf[id * this.stride + which];
    return row === undefined || row === NONE ? this.makeRow(id, which) : row;
  }

  private makeRow(id: number, which: number): number {
    if ((id + 1) * this.stride > this.rowOf.length) this.grow(id);
    const owner = this.ids.cgroup(id);
    const row =
      owner.id === id
        ? this.rows.create(owner.parent ? this.row(owner.parent.id, which) : NO_ROW)
        : this.row(owner.id, which);
    return (this.rowOf[id * this.stride + which] = row);
  }

  private grow(id: number): void {
    const larger = new Int32Array(Math.max(this.rowOf.length * 2, (id + 1) * this.stride));
    larger.set(this.rowOf);
    this.rowOf = larger;
  }
}

const LISTS: readonly NodeItem[] = LRU_ITEMS;
const KERNEL_ITEMS: readonly number[] = (["nr_kernel_stack", "nr_page_table_pages"] as const).map(placeOf);

function placeOf(item: NodeItem): number {
  return NODE_ITEM_OF[NodeStat[item]] as number;
}
