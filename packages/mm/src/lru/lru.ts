// The LRU lists: pages of processes and files in the order in which reclaim considers them. Page flags choose one of
// five lists, and the page's node or cgroup chooses the lruvec. Pages of devices are never on a list. Kernel
// counterparts: include/linux/mm_inline.h, struct lruvec in include/linux/mmzone.h, mm/swap.c.
import { bugOn, KernelBug, type NodeId, type Page } from "@hetmem/kernel";
import { describePage, type ListId, type MemMap, PageFlag } from "@hetmem/page";
import {
  MAX_NR_ZONES,
  type Memory,
  type MemoryNode,
  NodeStat,
  type PageAllocator,
  VmEvent,
  ZoneStat,
  ZoneType,
} from "@hetmem/zone";
import type { PageCharging } from "../ports/charging.ts";
import { LruList, Lruvec, NR_LRU_LISTS } from "./lruvec.ts";

export { LruList };

/** Counters and lists for the pages of one zone. */
interface LruPlace {
  readonly zone: ZoneType;
  /** Counters of the zone, by ZoneStat. */
  readonly zoneStat: Float64Array;
  /** Counters of the node, by NodeStat, which begins with the five lists. */
  readonly nodeStat: Float64Array;
  readonly node: NodeId;
  /** Id of the node's own lruvec. */
  readonly lruvec: number;
}

/** Page counters of one lruvec: by list and zone. */
const COUNTERS_PER_LRUVEC: number = NR_LRU_LISTS * MAX_NR_ZONES;
/** Index of the first LRU counter among a zone's counters. */
const NR_ZONE_LRU_BASE: number = ZoneStat.nr_zone_inactive_anon;

const { lru, active, unevictable, swapbacked, head, isolated } = PageFlag;
/** Page flags that choose the list. */
const LIST_BITS = unevictable | swapbacked | active;

/** All LRU lists of a machine. */
export class Lru {
  private readonly memmap: MemMap;
  private readonly allocator: PageAllocator;
  private readonly nodes: readonly (MemoryNode | undefined)[];
  private readonly charging: PageCharging;
  /** By node (shifted left by 3) and zone; undefined for ZONE_DEVICE. */
  private readonly places: (LruPlace | undefined)[] = [];
  /** By node: id of the node's own lruvec. */
  private readonly ofNode: Int32Array;
  /**
   * By lruvec id: the lruvec, the first of its five lists, and its pages by list and zone. The pages are counted only
   * with cgroups; without them the counters of the zones are used.
   */
  private readonly lruvecs: (Lruvec | undefined)[] = [];
  private firstLists: Int32Array = new Int32Array(16);
  private pages: Int32Array = new Int32Array(16 * COUNTERS_PER_LRUVEC);
  private readonly byNode: Lruvec[][] = [];
  /** Ids of released lruvecs, for reuse. */
  private readonly free: number[] = [];

  constructor({ memmap, allocator, nodes }: Memory, charging: PageCharging) {
    this.memmap = memmap;
    this.allocator = allocator;
    this.nodes = nodes;
    this.charging = charging;
    this.ofNode = Int32Array.from(nodes, (_, node) => this.createLruvec(node as NodeId, undefined).id);
    for (const node of nodes) {
      if (!node) continue;
      const { id, stat: nodeStat } = node;
      const lruvec = this.ofNode[id] as number;
      for (const { type: zone, stat: zoneStat } of node.zones) {
        if (zone !== ZoneType.Device)
          this.places[(id << 3) | zone] = { zone, zoneStat, nodeStat, node: id, lruvec };
      }
    }
  }

  /**
   * Creates an lruvec of five lists, for a node or for a cgroup on a node.
   *
   * @param parent the lruvec of the parent cgroup on the node; undefined at the top
   * @see lruvec_init()
   */
  createLruvec(node: NodeId, parent: Lruvec | undefined): Lruvec {
    const id = this.free.pop() ?? this.makeLists();
    const lruvec = new Lruvec(id, node, this.firstLists[id] as number, parent);
    this.lruvecs[id] = lruvec;
    (this.byNode[node] ??= []).push(lruvec);
    return lruvec;
  }

  /** Releases the lruvec of a removed cgroup, for reuse. @throws KernelBug when a page is on one of its lists */
  releaseLruvec({ id, node, firstList }: Lruvec): void {
    for (let list = firstList; list < firstList + NR_LRU_LISTS; list++)
      bugOn(this.memmap.lists.count(list as ListId) > 0, `LRU lists ${id} go with pages on them`);
    this.lruvecs[id] = undefined;
    this.byNode[node] = (this.byNode[node] ?? []).filter((lruvec) => lruvec.id !== id);
    this.free.push(id);
  }

  /** All lruvecs of a node: its own first, then those of cgroups in the order of creation. */
  lruvecsOfNode(node: NodeId): readonly Lruvec[] {
    return this.byNode[node] ?? [];
  }

  /** @throws KernelBug when no lruvec has the id */
  lruvecById(id: number): Lruvec {
    return this.lruvecs[id] ?? this.noLruvec(id);
  }

  /** The lruvec with an id, or undefined. */
  findLruvec(id: number): Lruvec | undefined {
    return this.lruvecs[id];
  }

  /** The lruvec that a page belongs to. @see folio_lruvec() */
  lruvecOf(page: Page): Lruvec {
    return this.lruvecById(this.lruvec(page));
  }

  /** Number of pages on a list, in zones up to `highest`. @see lruvec_lru_size() in mm/vmscan.c */
  size(lruvec: Lruvec, list: LruList, highest: number): number {
    const zones = this.nodes[lruvec.node]?.zones ?? [];
    let pages = 0;
    for (const { type, stat } of zones) {
      if (type > highest) break;
      pages +=
        this.charging.lruvec === undefined
          ? (stat[ZoneStat.nr_zone_inactive_anon + list] as number)
          : (this.pages[lruvec.id * COUNTERS_PER_LRUVEC + type * NR_LRU_LISTS + list] as number);
    }
    return pages;
  }

  /** Number of pages on a list, in all lruvecs of a node. @param list by LruList */
  nodeSize(node: NodeId, list: number): number {
    return this.nodes[node]?.stat[list] ?? 0;
  }

  /** A node's own lruvec. With cgroups, the lruvec of the root cgroup. */
  lruvecOfNode(node: NodeId): Lruvec {
    return this.lruvecById(this.ofNode[node] as number);
  }

  /** The list that a page belongs to. @see folio_lru_list() */
  listOf(page: Page): LruList {
    return listFor(this.memmap.flags(page));
  }

  /**
   * Adds a page to the head of its list.
   *
   * @throws KernelBug for a page of a device, or one that is on a list
   * @see lruvec_add_folio()
   */
  add(page: Page): void {
    const { memmap } = this;
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const list = listFor(memmap.set(page, lru));
    const id = this.charging.lruvec === undefined ? place.lruvec : this.charging.lruvec(page, place.node);
    memmap.lists.addHead(((this.firstLists[id] as number) + list) as ListId, page);
    this.count(page, place, id, list, 1);
  }

  /** Adds a page to the tail of its list, where reclaim looks first. @see lruvec_add_folio_tail() */
  addTail(page: Page): void {
    const { memmap } = this;
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const list = listFor(memmap.set(page, lru));
    const id = this.charging.lruvec === undefined ? place.lruvec : this.charging.lruvec(page, place.node);
    memmap.lists.addTail(((this.firstLists[id] as number) + list) as ListId, page);
    this.count(page, place, id, list, 1);
  }

  /**
   * Removes a page from its list. Other flags stay.
   *
   * @throws KernelBug when the page is on no list
   * @see lruvec_del_folio()
   */
  remove(page: Page): void {
    const { memmap } = this;
    const flags = memmap.flags(page);
    if ((flags & lru) === 0) this.notOnLru(page);
    const list = listFor(flags);
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const id = this.charging.lruvec === undefined ? place.lruvec : this.charging.lruvec(page, place.node);
    memmap.lists.remove(((this.firstLists[id] as number) + list) as ListId, page);
    memmap.clear(page, lru);
    this.count(page, place, id, list, -1);
  }

  /**
   * Isolates a page from its list, with a reference, for migration or reclaim.
   *
   * @returns false when the page is on no list
   * @see folio_isolate_lru()
   */
  isolate(page: Page): boolean {
    const { memmap } = this;
    if (!memmap.test(page, lru) || !memmap.getPageUnlessZero(page)) return false;
    this.remove(page);
    memmap.set(page, isolated);
    this.countIsolated(page, 1);
    return true;
  }

  /** Returns an isolated page to its list, and drops the reference of isolate(). @see folio_putback_lru() */
  putback(page: Page): void {
    this.forgetIsolated(page);
    this.updateUnevictable(page);
    this.add(page);
    this.memmap.putPage(page);
  }

  /** Ends the isolation of a page that was migrated or is about to be freed. */
  forgetIsolated(page: Page): void {
    this.memmap.clear(page, isolated);
    this.countIsolated(page, -1);
  }

  /**
   * Isolates the first `count` pages of an array. The caller has set their isolated flag, and gives its references to
   * the isolation. All are small pages on evictable lists.
   */
  isolateMarked(pages: Int32Array, count: number): void {
    for (let i = 0; i < count;) i = this.moveRun(pages, i, count, -1);
  }

  /** Adds the first `count` small pages of an array to the heads of their lists, in order. */
  addBatch(pages: Int32Array, count: number): void {
    for (let i = 0; i < count;) i = this.moveRun(pages, i, count, 1);
  }

  /** Ends isolation and page lock of the first `count` small pages of an array, after their migration. */
  forgetMoved(pages: Int32Array, count: number): void {
    const { memmap } = this;
    for (let i = 0; i < count;) {
      const first = pages[i] as Page;
      const kind = memmap.flags(first) & swapbacked;
      const place = memmap.placeOf(first);
      let run = 0;
      // Ends: with the pages of the batch.
      for (let page = first; ; page = pages[i + run] as Page) {
        memmap.moves.exchange(page, isolated | PageFlag.locked, 0);
        if (++run + i === count) break;
        const next = pages[i + run] as Page;
        if (memmap.placeOf(next) !== place || (memmap.flags(next) & swapbacked) !== kind) break;
      }
      this.countIsolated(first, -run);
      i += run;
    }
  }

  /** Moves a page to the active list. @see folio_activate() */
  activate(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, active | unevictable)) return;
    this.remove(page);
    memmap.set(page, active);
    this.add(page);
    this.countEvent(VmEvent.pgactivate, page);
  }

  /** Moves a page from the active list to the inactive one. @see deactivate_page() */
  deactivate(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, unevictable) || !memmap.test(page, active)) return;
    this.remove(page);
    memmap.clear(page, active | PageFlag.referenced);
    this.add(page);
    this.countEvent(VmEvent.pgdeactivate, page);
  }

  /**
   * Moves a page whose writeback reclaim has started to the tail of the inactive list.
   *
   * @see folio_rotate_reclaimable()
   */
  rotateReclaimable(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, PageFlag.locked | PageFlag.dirty | unevictable)) return;
    this.remove(page);
    memmap.clear(page, active);
    this.addTail(page);
    this.countEvent(VmEvent.pgrotated, page);
  }

  /** Moves a page to the head of its list. */
  rotate(page: Page): void {
    const list = ((this.firstLists[this.lruvec(page)] as number) + this.listOf(page)) as ListId;
    this.memmap.lists.remove(list, page);
    this.memmap.lists.addHead(list, page);
  }

  /** Counts an isolated MADV_FREE page as anonymous instead of file, after a write to it. */
  isolatedAgainAnon(page: Page): void {
    this.countIsolated(page, 1);
    this.memmap.clear(page, swapbacked);
    this.countIsolated(page, -1);
    this.memmap.set(page, swapbacked);
  }

  /** Sets or clears the unevictable flag according to mlock. @see lru_add_fn() */
  private updateUnevictable(page: Page): void {
    const { memmap } = this;
    if (memmap.test(page, PageFlag.mlocked)) {
      memmap.clear(page, active);
      if (memmap.test(page, unevictable)) return;
      memmap.set(page, unevictable);
      this.countEvent(VmEvent.unevictable_pgs_culled, page);
    } else if (memmap.test(page, unevictable)) {
      memmap.clear(page, unevictable);
      this.countEvent(VmEvent.unevictable_pgs_rescued, page);
    }
  }

  private lruvec(page: Page): number {
    const { charging } = this;
    const node = this.memmap.nodeOf(page);
    return charging.lruvec === undefined ? (this.ofNode[node] as number) : charging.lruvec(page, node);
  }

  /**
   * Adds (sign 1) or isolates (sign -1) consecutive pages of an array, as long as they belong to the same list.
   *
   * @returns index of the first page that belongs to another list
   */
  private moveRun(pages: Int32Array, from: number, end: number, sign: 1 | -1): number {
    const { memmap, charging } = this;
    const { lists, moves } = memmap;
    const first = pages[from] as Page;
    const number = memmap.placeOf(first);
    const place = this.places[number] ?? this.notForLru(first);
    const kind = memmap.flags(first) & LIST_BITS;
    const list = listFor(kind);
    const id = charging.lruvec === undefined ? place.lruvec : charging.lruvec(first, place.node);
    const on = ((this.firstLists[id] as number) + list) as ListId;
    let i = from;
    for (; i < end; i++) {
      const page = pages[i] as Page;
      if (memmap.placeOf(page) !== number || (memmap.flags(page) & LIST_BITS) !== kind) break;
      if (charging.lruvec !== undefined && charging.lruvec(page, place.node) !== id) break;
      if (sign === 1) {
        lists.addHead(on, page);
        moves.exchange(page, 0, lru);
      } else {
        lists.remove(on, page);
      }
    }
    this.countPages(place, id, list, sign * (i - from));
    if (sign === -1) this.countIsolated(first, i - from);
    return i;
  }

  private count(page: Page, place: LruPlace, lruvec: number, list: LruList, sign: number): void {
    const { memmap } = this;
    const pages = (memmap.flags(page) & head) !== 0 ? sign << memmap.compoundOrder(page) : sign;
    this.countPages(place, lruvec, list, pages);
  }

  private countPages(
    { zoneStat, nodeStat, zone }: LruPlace,
    lruvec: number,
    list: LruList,
    pages: number,
  ): void {
    const item = NR_ZONE_LRU_BASE + list;
    zoneStat[item] = (zoneStat[item] as number) + pages;
    nodeStat[list] = (nodeStat[list] as number) + pages;
    if (this.charging.lruvec === undefined) return;
    const at = lruvec * COUNTERS_PER_LRUVEC + zone * NR_LRU_LISTS + list;
    this.pages[at] = (this.pages[at] as number) + pages;
  }

  /** Creates five consecutive lists. @returns the id of their lruvec */
  private makeLists(): number {
    const id = this.lruvecs.length;
    const first = this.memmap.lists.create();
    for (let i = 1; i < NR_LRU_LISTS; i++) this.memmap.lists.create();
    if (id === this.firstLists.length) {
      const [firstLists, pages] = [new Int32Array(id * 2), new Int32Array(id * 2 * COUNTERS_PER_LRUVEC)];
      firstLists.set(this.firstLists);
      pages.set(this.pages);
      [this.firstLists, this.pages] = [firstLists, pages];
    }
    this.firstLists[id] = first;
    return id;
  }

  private countEvent(event: number, page: Page): void {
    const pages = 1 << this.memmap.compoundOrder(page);
    this.allocator.countEvent(event, pages);
    this.charging.counts?.pageEvent(page, event, pages);
  }

  private countIsolated(page: Page, sign: number): void {
    const stat = this.nodes[this.memmap.nodeOf(page)]?.stat;
    if (!stat) return;
    const item = this.memmap.test(page, swapbacked) ? NodeStat.nr_isolated_anon : NodeStat.nr_isolated_file;
    stat[item] = (stat[item] as number) + (sign << this.memmap.compoundOrder(page));
  }

  private noLruvec(id: number): never {
    throw new KernelBug(`there are no LRU lists ${id}`);
  }

  private notForLru(page: Page): never {
    throw new KernelBug(`a page of a device never is on an LRU: ${describePage(this.memmap, page)}`);
  }

  private notOnLru(page: Page): never {
    throw new KernelBug(`not on an LRU: ${describePage(this.memmap, page)}`);
  }
}

/** The list chosen by page flags. */
function listFor(flags: number): LruList {
  if ((flags & unevictable) !== 0) return LruList.unevictable;
  return (((flags & swapbacked) !== 0 ? 0 : 2) + ((flags & active) !== 0 ? 1 : 0)) as LruList;
}
