// The LRU lists of each cgroup on each node, created for the first page that needs them. The root uses the node's own
// lists. Kernel counterpart: mem_cgroup_lruvec() in include/linux/memcontrol.h.
import { bugOn, type NodeId, type Page } from "@hetmem/kernel";
import type { Lru, LruList, Lruvec } from "@hetmem/mm/lru";
import { ZoneType } from "@hetmem/zone";
import { type CgroupIds, NOBODY, ROOT_ID } from "./cgroup-ids.ts";
import type { MemoryCgroup } from "./memory-cgroup.ts";

/** Table entry without lists. */
const NONE = -1;

export class CgroupLruvecs {
  private readonly ids: CgroupIds;
  /** The owner of each page: the array of MemoryCgroups, which replaces it when the array grows. */
  pageOwners: Uint16Array;
  private readonly nodes: number;
  private lru: Lru | undefined = undefined;
  /** Lruvec id by cgroup id and node. */
  private lists: Int32Array;
  /** Cgroup id by lruvec id. */
  private owners: Int32Array = new Int32Array(64);

  constructor(ids: CgroupIds, pageOwners: Uint16Array, nodes: number) {
    this.ids = ids;
    this.pageOwners = pageOwners;
    this.nodes = nodes;
    this.lists = new Int32Array(64 * nodes).fill(NONE);
  }

  /** Called once the machine's LRU lists exist. */
  start(lru: Lru): void {
    this.lru = lru;
    for (let node = 0; node < this.nodes; node++) {
      const { id } = lru.lruvecOfNode(node as NodeId);
      this.lists[NOBODY * this.nodes + node] = id;
      this.lists[ROOT_ID * this.nodes + node] = id;
      this.note(id, ROOT_ID);
    }
  }

  /** Id of the lruvec that a page belongs on. @see folio_lruvec() */
  ofPage(page: Page, node: NodeId): number {
    const id = this.pageOwners[page] as number;
    const lists = this.lists[id * this.nodes + node];
    return lists === undefined || lists === NONE ? this.make(id, node) : lists;
  }

  /** The cgroup id of an lruvec id. */
  owner(lruvec: number): number {
    return this.owners[lruvec] as number;
  }

  /** The lruvec of a cgroup on a node; undefined while it doesn't exist. */
  find({ id }: MemoryCgroup, node: NodeId): Lruvec | undefined {
    const lists = this.lists[id * this.nodes + node];
    return lists === undefined || lists === NONE ? undefined : this.lru?.lruvecById(lists);
  }

  /** Number of pages on a list of a cgroup and its descendants on a node. @param list an LruList */
  listSize(cgroup: MemoryCgroup, node: NodeId, list: number): number {
    const { lru } = this;
    if (lru === undefined) return 0;
    // Every page on the node's lists belongs to the root's subtree.
    if (cgroup.isRoot) return lru.nodeSize(node, list);
    let pages = 0;
    for (const member of cgroup.subtree()) {
      const lruvec = this.find(member, node);
      if (lruvec) pages += lru.size(lruvec, list as LruList, ZoneType.Movable);
    }
    return pages;
  }

  /** Releases the empty lists of a freed cgroup. */
  release(cgroup: MemoryCgroup): void {
    for (let node = 0; node < this.nodes; node++) {
      const lruvec = this.find(cgroup, node as NodeId);
      if (lruvec === undefined) continue;
      this.lru?.releaseLruvec(lruvec);
      this.lists[cgroup.id * this.nodes + node] = NONE;
    }
  }

  private make(id: number, node: NodeId): number {
    const { lru, ids } = this;
    const cgroup = ids.cgroup(id);
    bugOn(lru === undefined || cgroup.id !== id, `pages with id ${id} are on no list`);
    if (lru === undefined) return NONE;
    const parent = cgroup.parent ? this.idOf(cgroup.parent.id, node) : NONE;
    const lruvec = lru.createLruvec(node, parent === NONE ? undefined : lru.lruvecById(parent));
    if ((id + 1) * this.nodes > this.lists.length) this.grow(id);
    this.lists[id * this.nodes + node] = lruvec.id;
    this.note(lruvec.id, id);
    return lruvec.id;
  }

  private idOf(id: number, node: NodeId): number {
    const lists = this.lists[id * this.nodes + node];
    return lists === undefined || lists === NONE ? this.make(id, node) : lists;
  }

  private note(lruvec: number, id: number): void {
    if (lruvec >= this.owners.length) {
      const larger = new Int32Array(lruvec * 2);
      larger.set(this.owners);
      this.owners = larger;
    }
    this.owners[lruvec] = id;
  }

  private grow(id: number): void {
    const larger = new Int32Array(Math.max(this.lists.length * 2, (id + 1) * this.nodes)).fill(NONE);
    larger.set(this.lists);
    this.lists = larger;
  }
}
