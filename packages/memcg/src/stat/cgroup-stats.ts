// The counters of each cgroup: one row of its own and one for each node on which it has had anything. Rows are found by
// the id that a page carries. Kernel counterparts: mod_memcg_state(), mod_lruvec_state() and memcg_page_state() in
// mm/memcontrol.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { CgroupCounts, Lruvec, MmStruct } from "@hetmem/mm";
import { NodeStat } from "@hetmem/zone";
import { type CgroupIds, NOBODY, ROOT_ID } from "../cgroup-ids.ts";
import type { CgroupLruvecs } from "../cgroup-lruvecs.ts";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { CgroupItem, EVENT_ITEM_OF, LRU_ITEMS, NODE_ITEM_OF, type NodeItem } from "./items.ts";
import { NO_ROW, StatRows } from "./stat-rows.ts";

// Constants of other modules that the hot paths use: a binding of another module is read at each use, a local one is not.
const UNPAID = NOBODY;
const ROOT = ROOT_ID;
const NONE = NO_ROW;
const NODE_PLACES = NODE_ITEM_OF;
const EVENT_PLACES = EVENT_ITEM_OF;

export class CgroupStats implements CgroupCounts {
  private readonly rows: StatRows = new StatRows();
  private readonly ids: CgroupIds;
  /** Those of MemoryCgroups, which gives others when they have grown. */
  owners: Uint16Array;
  private readonly lruvecs: CgroupLruvecs;
  private readonly nodes: number;
  /** By id: its own row, then one a node. NO_ROW: none yet. */
  private rowOf: Int32Array;
  private readonly stride: number;

  /**
   * @param owners who pays for each page
   * @param nodes that the machine can have
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

  /** Changes a counter that doesn't belong to a node. @see mod_memcg_state() */
  add(id: number, item: number, by: number): void {
    this.rows.add(this.row(id, 0), item, by);
  }

  /** A counter of a cgroup and those below. @see memcg_page_state(), memcg_events() */
  cgroup({ id }: MemoryCgroup, item: CgroupItem): number {
    if (item === "pgpgin") this.flushArrivals();
    return this.rows.total(this.rowOf[id * this.stride] ?? NO_ROW, CgroupItem[item]);
  }

  /** The same of one of a node's. @see lruvec_page_state() */
  node(cgroup: MemoryCgroup, node: NodeId, item: NodeItem): number {
    const list = LISTS.indexOf(item);
    if (list >= 0) return this.lruvecs.listSize(cgroup, node, list);
    const place = placeOf(item);
    return place < 0 ? 0 : this.rows.total(this.rowOf[cgroup.id * this.stride + node + 1] ?? NO_ROW, place);
  }

  /** The same for all nodes. @see memcg_page_state() */
  allNodes(cgroup: MemoryCgroup, item: NodeItem): number {
    let sum = 0;
    for (let node = 0; node < this.nodes; node++) sum += this.node(cgroup, node as NodeId, item);
    return sum;
  }

  /** The kernel's memory in a cgroup that goes is counted by its parent only from now on. */
  surrenderKernel({ id }: MemoryCgroup): void {
    const first = id * this.stride;
    for (const item of [CgroupItem.kmem, CgroupItem.vmalloc])
      this.rows.surrender(this.rowOf[first] as number, item);
    for (let node = 1; node <= this.nodes; node++)
      for (const item of KERNEL_ITEMS) this.rows.surrender(this.rowOf[first + node] as number, item);
  }

  /** An id of kernel charges becomes another's, or nobody's: its rows have to be looked up anew. */
  forget(id: number): void {
    this.ids.settle();
    this.flushArrival(id);
    this.rowOf.fill(NO_ROW, id * this.stride, (id + 1) * this.stride);
  }

  /** A cgroup is gone; those above keep what it has counted. */
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

  /** @param which 0: the cgroup's own; a node's number and 1 for the node's */
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
