// The LRU lists: where pages of processes and files wait to be used again or reclaimed. A page's flags say which of five
// lists it is on; whose lists, its node says, or its cgroup. Pages of devices are never on one. Kernel counterparts:
// include/linux/mm_inline.h, struct lruvec in include/linux/mmzone.h, mm/swap.c.
import { KernelBug, type NodeId, type Page } from "@hetmem/kernel";
import { describePage, type ListId, type MemMap, PageFlag } from "@hetmem/page";
import {
  type Memory,
  type MemoryNode,
  NodeStat,
  type PageAllocator,
  VmEvent,
  ZoneStat,
  ZoneType,
} from "@hetmem/zone";
import type { PageCharging } from "../charging.ts";
import { LruList, Lruvec, NR_LRU_LISTS } from "./lruvec.ts";

export { LruList, NR_LRU_LISTS };

/** Where pages of one zone are counted, and which lists are their node's. */
interface LruPlace {
  readonly zone: ZoneType;
  /** By ZoneStat. */
  readonly zoneStat: Float64Array;
  /** By NodeStat, which begins with the five lists. */
  readonly nodeStat: Float64Array;
  readonly firstList: number;
}

/** In a zone's counters, those of its LRU lists begin here. */
const NR_ZONE_LRU_BASE: number = ZoneStat.nr_zone_inactive_anon;

const { lru, active, unevictable, swapbacked, head, isolated } = PageFlag;

export class Lru {
  private readonly memmap: MemMap;
  private readonly allocator: PageAllocator;
  private readonly nodes: readonly (MemoryNode | undefined)[];
  private readonly charging: PageCharging;
  /** By node (shifted by 3) and zone; none for zones of devices. */
  private readonly places: (LruPlace | undefined)[] = [];
  /** First of the five lists of each node. */
  private readonly nodeLists: Int32Array;
  /** By id. */
  private readonly lruvecs: Lruvec[] = [];
  private readonly byNode: Lruvec[][] = [];
  private readonly byFirstList = new Map<number, Lruvec>();

  constructor({ memmap, allocator, nodes }: Memory, charging: PageCharging) {
    this.memmap = memmap;
    this.allocator = allocator;
    this.nodes = nodes;
    this.charging = charging;
    this.nodeLists = Int32Array.from(
      nodes,
      (_, node) => this.createLruvec(node as NodeId, undefined).firstList,
    );
    for (const node of nodes) {
      const firstList = node ? (this.nodeLists[node.id] as number) : 0;
      for (const { type: zone, stat: zoneStat } of node?.zones ?? []) {
        if (node && zone !== ZoneType.Device)
          this.places[(node.id << 3) | zone] = { zone, zoneStat, nodeStat: node.stat, firstList };
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
    const first = this.memmap.lists.create();
    for (let i = 1; i < NR_LRU_LISTS; i++) this.memmap.lists.create();
    const lruvec = new Lruvec(this.lruvecs.length, node, first, parent);
    this.lruvecs.push(lruvec);
    (this.byNode[node] ??= []).push(lruvec);
    this.byFirstList.set(first, lruvec);
    return lruvec;
  }

  /** All lists of a node: its own first, then those of cgroups in the order of their creation. */
  lruvecsOfNode(node: NodeId): readonly Lruvec[] {
    return this.byNode[node] ?? [];
  }

  /** @throws KernelBug when there is none */
  lruvecById(id: number): Lruvec {
    return this.lruvecs[id] ?? this.noLruvec(id);
  }

  /** Whose lists a page belongs on. @see folio_lruvec() */
  lruvecOf(page: Page): Lruvec {
    const first = this.lruvec(page);
    return this.byFirstList.get(first) ?? this.noLruvec(first);
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
          : (lruvec.pages[type * NR_LRU_LISTS + list] as number);
    }
    return pages;
  }

  /** The first list of a node's own. */
  lruvecOfNode(node: NodeId): number {
    return this.nodeLists[node] as number;
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
    const first = this.charging.lruvec === undefined ? place.firstList : this.lruvec(page);
    memmap.lists.addHead((first + list) as ListId, page);
    this.count(page, place, first, list, 1);
  }

  /** The same at the tail: the next to be looked at. @see lruvec_add_folio_tail() */
  addTail(page: Page): void {
    const { memmap } = this;
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const list = listFor(memmap.set(page, lru));
    const first = this.charging.lruvec === undefined ? place.firstList : this.lruvec(page);
    memmap.lists.addTail((first + list) as ListId, page);
    this.count(page, place, first, list, 1);
  }

  /** Takes a page off its list; its other flags stay. @throws KernelBug when it isn't on one @see lruvec_del_folio() */
  remove(page: Page): void {
    const { memmap } = this;
    const flags = memmap.flags(page);
    if ((flags & lru) === 0) this.notOnLru(page);
    const list = listFor(flags);
    const place = this.places[memmap.placeOf(page)] ?? this.notForLru(page);
    const first = this.charging.lruvec === undefined ? place.firstList : this.lruvec(page);
    memmap.lists.remove((first + list) as ListId, page);
    memmap.clear(page, lru);
    this.count(page, place, first, list, -1);
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
    const list = (this.lruvec(page) + this.listOf(page)) as ListId;
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
    const node = this.memmap.nodeOf(page);
    const { lruvec } = this.charging;
    return lruvec === undefined ? (this.nodeLists[node] as number) : lruvec(page, node);
  }

  private count(
    page: Page,
    { zoneStat, nodeStat, zone }: LruPlace,
    first: number,
    list: LruList,
    sign: number,
  ): void {
    const { memmap } = this;
    const pages = (memmap.flags(page) & head) !== 0 ? sign << memmap.compoundOrder(page) : sign;
    const item = NR_ZONE_LRU_BASE + list;
    zoneStat[item] = (zoneStat[item] as number) + pages;
    nodeStat[list] = (nodeStat[list] as number) + pages;
    if (this.charging.lruvec !== undefined) this.countInLruvec(first, zone * NR_LRU_LISTS + list, pages);
  }

  private countInLruvec(first: number, item: number, pages: number): void {
    const counts = (this.byFirstList.get(first) ?? this.noLruvec(first)).pages;
    counts[item] = (counts[item] as number) + pages;
  }

  private countEvent(event: number, page: Page): void {
    this.allocator.countEvent(event, 1 << this.memmap.compoundOrder(page));
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
