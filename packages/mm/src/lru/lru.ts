// The LRU lists: where pages of processes and files wait to be used again or reclaimed. A page's flags say which of five
// lists it is on; whose lists, its node says, or its cgroup. Pages of devices are never on one. Kernel counterparts:
// include/linux/mm_inline.h, struct lruvec in include/linux/mmzone.h, mm/swap.c.
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

export { LruList, NR_LRU_LISTS };

/** Where pages of one zone are counted, and which lists are their node's. */
interface LruPlace {
  readonly zone: ZoneType;
  /** By ZoneStat. */
  readonly zoneStat: Float64Array;
  /** By NodeStat, which begins with the five lists. */
  readonly nodeStat: Float64Array;
  readonly node: NodeId;
  /** Id of the lists. */
  readonly lruvec: number;
}

/** Counters of pages that lists of one id have: by list and zone. */
const COUNTS: number = NR_LRU_LISTS * MAX_NR_ZONES;
/** In a zone's counters, those of its LRU lists begin here. */
const NR_ZONE_LRU_BASE: number = ZoneStat.nr_zone_inactive_anon;

const { lru, active, unevictable, swapbacked, head, isolated } = PageFlag;
/** Flags that say which list a page belongs on. */
const LIST_BITS = unevictable | swapbacked | active;

export class Lru {
  private readonly memmap: MemMap;
  private readonly allocator: PageAllocator;
  private readonly nodes: readonly (MemoryNode | undefined)[];
  private readonly charging: PageCharging;
  /** By node (shifted by 3) and zone; none for zones of devices. */
  private readonly places: (LruPlace | undefined)[] = [];
  /** Id of the lists of each node itself. */
  private readonly ofNode: Int32Array;
  /** By id: all lists, the first of their five, and the pages on each by zone. The last is kept while there are cgroups; the zones know otherwise. */
  private readonly lruvecs: (Lruvec | undefined)[] = [];
  private firstLists: Int32Array = new Int32Array(16);
  private pages: Int32Array = new Int32Array(16 * COUNTS);
  private readonly byNode: Lruvec[][] = [];
  /** Lists of cgroups that are gone, to be used again. */
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
   * Five lists in a row, for a node or a cgroup's part of one.
   *
   * @param parent those of the cgroup above, or undefined at the top
   * @see lruvec_init()
   */
  createLruvec(node: NodeId, parent: Lruvec | undefined): Lruvec {
    const id = this.free.pop() ?? this.makeLists();
    const lruvec = new Lruvec(id, node, this.firstLists[id] as number, parent);
    this.lruvecs[id] = lruvec;
    (this.byNode[node] ??= []).push(lruvec);
    return lruvec;
  }

  /** The cgroup whose lists these were is gone. Another may get them. @throws KernelBug when a page is on one */
  releaseLruvec({ id, node, firstList }: Lruvec): void {
    for (let list = firstList; list < firstList + NR_LRU_LISTS; list++)
      bugOn(this.memmap.lists.count(list as ListId) > 0, `LRU lists ${id} go with pages on them`);
    this.lruvecs[id] = undefined;
    this.byNode[node] = (this.byNode[node] ?? []).filter((lruvec) => lruvec.id !== id);
    this.free.push(id);
  }

  /** All lists of a node: its own first, then those of cgroups in the order of their creation. */
  lruvecsOfNode(node: NodeId): readonly Lruvec[] {
    return this.byNode[node] ?? [];
  }

  /** @throws KernelBug when there is none */
  lruvecById(id: number): Lruvec {
    return this.lruvecs[id] ?? this.noLruvec(id);
  }

  /** The same, undefined when there is none. */
  findLruvec(id: number): Lruvec | undefined {
    return this.lruvecs[id];
  }

  /** Whose lists a page belongs on. @see folio_lruvec() */
  lruvecOf(page: Page): Lruvec {
    return this.lruvecById(this.lruvec(page));
  }

  /** Pages of a list, those in zones up to one. @see lruvec_lru_size() in mm/vmscan.c */
  size(lruvec: Lruvec, list: LruList, highest: number): number {
    const zones = this.nodes[lruvec.node]?.zones ?? [];
    let pages = 0;
    for (const { type, stat } of zones) {
      if (type > highest) break;
      pages +=
        this.charging.lruvec === undefined
          ? (stat[ZoneStat.nr_zone_inactive_anon + list] as number)
          : (this.pages[lruvec.id * COUNTS + type * NR_LRU_LISTS + list] as number);
    }
    return pages;
  }

  /** Pages of a list in all of a node's lists, whoever's they are. @param list by LruList */
  nodeSize(node: NodeId, list: number): number {
    return this.nodes[node]?.stat[list] ?? 0;
  }

  /** A node's own lists, which are the root cgroup's where there are cgroups. */
  lruvecOfNode(node: NodeId): Lruvec {
    return this.lruvecById(this.ofNode[node] as number);
  }

  /** @see folio_lru_list() */
  listOf(page: Page): LruList {
    return listFor(this.memmap.flags(page));
  }

  /** Puts a page at the head of the list that its flags say. @throws KernelBug for a device's page, or one that is on a list @see lruvec_add_folio() */
  add(page: Page): void {
    const { memmap } = this;
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const list = listFor(memmap.set(page, lru));
    const id = this.charging.lruvec === undefined ? place.lruvec : this.charging.lruvec(page, place.node);
    memmap.lists.addHead(((this.firstLists[id] as number) + list) as ListId, page);
    this.count(page, place, id, list, 1);
  }

  /** The same at the tail: the next to be looked at. @see lruvec_add_folio_tail() */
  addTail(page: Page): void {
    const { memmap } = this;
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const list = listFor(memmap.set(page, lru));
    const id = this.charging.lruvec === undefined ? place.lruvec : this.charging.lruvec(page, place.node);
    memmap.lists.addTail(((this.firstLists[id] as number) + list) as ListId, page);
    this.count(page, place, id, list, 1);
  }

  /** Takes a page off its list; its other flags stay. @throws KernelBug when it isn't on one @see lruvec_del_folio() */
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

  /** Takes a page off the lists for somebody who is going to move it; he holds a reference. @returns false when it is on none @see folio_isolate_lru() */
  isolate(page: Page): boolean {
    const { memmap } = this;
    if (!memmap.test(page, lru) || !memmap.getPageUnlessZero(page)) return false;
    this.remove(page);
    memmap.set(page, isolated);
    this.countIsolated(page, 1);
    return true;
  }

  /** Puts an isolated page back, and drops the reference that isolate() took. @see folio_putback_lru() */
  putback(page: Page): void {
    this.forgetIsolated(page);
    this.sortOut(page);
    this.add(page);
    this.memmap.putPage(page);
  }

  /** An isolated page is no longer: it was moved away, or is about to be freed. */
  forgetIsolated(page: Page): void {
    this.memmap.clear(page, isolated);
    this.countIsolated(page, -1);
  }

  /**
   * Takes the first so many pages of an array off the lists, for somebody who is going to move them: he has marked them as
   * isolated, and his references are the isolation's. All are small, and were on a list that reclaim looks at.
   */
  isolateMarked(pages: Int32Array, count: number): void {
    for (let i = 0; i < count;) i = this.moveRun(pages, i, count, -1);
  }

  /** Puts the first so many small pages of an array at the head of the lists that their flags say, one after another. */
  addBatch(pages: Int32Array, count: number): void {
    for (let i = 0; i < count;) i = this.moveRun(pages, i, count, 1);
  }

  /** The first so many small pages of an array, which were isolated and are locked, have been moved away: both ends. */
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

  /** @see folio_activate() */
  activate(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, active | unevictable)) return;
    this.remove(page);
    memmap.set(page, active);
    this.add(page);
    this.countEvent(VmEvent.pgactivate, page);
  }

  /** From the active list to the inactive one. @see deactivate_page() */
  deactivate(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, unevictable) || !memmap.test(page, active)) return;
    this.remove(page);
    memmap.clear(page, active | PageFlag.referenced);
    this.add(page);
    this.countEvent(VmEvent.pgdeactivate, page);
  }

  /** Reclaim waited for a page to be written: it is the next to be looked at. @see folio_rotate_reclaimable() */
  rotateReclaimable(page: Page): void {
    const { memmap } = this;
    if (!memmap.test(page, lru) || memmap.test(page, PageFlag.locked | PageFlag.dirty | unevictable)) return;
    this.remove(page);
    memmap.clear(page, active);
    this.addTail(page);
    this.countEvent(VmEvent.pgrotated, page);
  }

  /** Moves a page to the head of the list that it is on. */
  rotate(page: Page): void {
    const list = ((this.firstLists[this.lruvec(page)] as number) + this.listOf(page)) as ListId;
    this.memmap.lists.remove(list, page);
    this.memmap.lists.addHead(list, page);
  }

  /** A page that was to be freed lazily was written instead, while it was isolated: it counts as one of anonymous memory again. */
  isolatedAgainAnon(page: Page): void {
    this.countIsolated(page, 1);
    this.memmap.clear(page, swapbacked);
    this.countIsolated(page, -1);
    this.memmap.set(page, swapbacked);
  }

  /** A page that a process has locked is of no use on the other lists. @see lru_add_fn() */
  private sortOut(page: Page): void {
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
   * Pages of an array from one on that belong on the same list come there (sign 1), or are isolated from there (-1).
   *
   * @returns the first that doesn't
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
    const at = lruvec * COUNTS + zone * NR_LRU_LISTS + list;
    this.pages[at] = (this.pages[at] as number) + pages;
  }

  /** Five lists in a row. @returns their id */
  private makeLists(): number {
    const id = this.lruvecs.length;
    const first = this.memmap.lists.create();
    for (let i = 1; i < NR_LRU_LISTS; i++) this.memmap.lists.create();
    if (id === this.firstLists.length) {
      const [firstLists, pages] = [new Int32Array(id * 2), new Int32Array(id * 2 * COUNTS)];
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

/** The list that a page's flags say. */
function listFor(flags: number): LruList {
  if ((flags & unevictable) !== 0) return LruList.unevictable;
  return (((flags & swapbacked) !== 0 ? 0 : 2) + ((flags & active) !== 0 ? 1 : 0)) as LruList;
}
