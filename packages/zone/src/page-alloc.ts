// The page allocator: walks a zonelist, checks the watermarks, and serves small requests from per-cpu lists and
// others from the buddy lists. All of it is atomic; reclaim and compaction are built above it. Kernel counterpart:
// mm/page_alloc.c.
import {
  type FaultPoint,
  type Kernel,
  KernelBug,
  type NodeId,
  type Page,
  type Tracepoint,
} from "@hetmem/kernel";
import { describePage, type ListId, type MemMap, NULL_PAGE, PageFlag, type PageLists } from "@hetmem/page";
import type { MmPageAlloc, MmPageFree } from "./alloc-events.ts";
import { Gfp, gfpMigrateType, gfpZone } from "./gfp.ts";
import type { MemoryNode } from "./node.ts";
import { countNuma } from "./numa-stat.ts";
import { type Pageblocks, placeOfBlock } from "./pageblock.ts";
import { VM_EVENTS, VmEvent } from "./vmstat.ts";
import { PAGE_FLAGS_CHECK_AT_PREP, prepareBlock, SLOW_FREE_FLAGS, stripPages } from "./page-prep.ts";
import { drainPcp, freeToPcp, refillPcp } from "./pcp-bulk.ts";
import {
  LIST_BOTTOM,
  LIST_LIMIT,
  LIST_SERVED,
  LIST_SINGLES,
  LIST_ZONE,
  LIST_ZONE_TYPE,
  PCP_BYPASSED,
  PCP_HIGH,
  PCP_RECORD,
  PcpStacks,
} from "./pcp.ts";
import {
  ALLOC_NO_WATERMARKS,
  ALLOC_WMARK_LOW,
  ALLOC_WMARK_MIN,
  type AllocMark,
  watermarkOk,
} from "./watermark-check.ts";
import { type Zone, ZONE_NUMBERS, ZoneNumber } from "./zone.ts";
import {
  MAX_ORDER,
  MIGRATE_PCPTYPES,
  MigrateType,
  PAGE_ALLOC_COSTLY_ORDER,
  ZONE_NAMES,
  type ZoneType,
} from "./zone-type.ts";

/** A per-cpu list that serves the fast path, and the zone in which its requests are counted. */
interface Served {
  readonly list: number;
  readonly zone: Zone;
}

const PGALLOC = Int32Array.from(ZONE_NAMES, (name) => VmEvent[`pgalloc_${name.toLowerCase() as "dma"}`]);
// Counters of the hot paths, as local copies.
const PGFREE = VmEvent.pgfree;
const LOW_FOR = ZoneNumber.lowFor;

/** Bits of a GFP mask that select the zones and the lists of a request: its kind. */
const GFP_KIND = Gfp.DMA | Gfp.HIGHMEM | Gfp.DMA32 | Gfp.MOVABLE | Gfp.RECLAIMABLE;
const KINDS_SHIFT = 5;
/** Words cached for a kind of request: its per-cpu list, the indices of the zone's free pages and mark, a free list. */
const HOT_SHIFT = 2;
const HOT_FREE = 1;
const HOT_LOW = 2;
const HOT_SINGLE = 3;
// Local copies of constants for the hot paths: an imported binding is read from its module at each use.
const BOTTOM = LIST_BOTTOM;
const LIMIT = LIST_LIMIT;
const SERVED = LIST_SERVED;
const ZONE = LIST_ZONE;
const ZONE_TYPE = LIST_ZONE_TYPE;
const SINGLES = LIST_SINGLES;
const BYPASSED = PCP_BYPASSED;
const PAGES_OF_TYPE: number = ZoneNumber.pagesOfType;
const HIGH = PCP_HIGH;
const RECORD_MASK = ~(PCP_RECORD - 1);
const PCP_TYPES = MIGRATE_PCPTYPES;
const CLEARED_AT_FREE: number = PAGE_FLAGS_CHECK_AT_PREP;
const FREED_SLOWLY: number = SLOW_FREE_FLAGS;

export class PageAllocator {
  readonly memmap: MemMap;
  readonly pageblocks: Pageblocks;
  /** Indexed by node number; undefined where no node is possible. */
  readonly nodes: readonly (MemoryNode | undefined)[];
  private readonly failPageAlloc: FaultPoint;
  private readonly traceAlloc: Tracepoint<MmPageAlloc>;
  private readonly traceFree: Tracepoint<MmPageFree>;
  private readonly eventCounts: Float64Array = new Float64Array(VM_EVENTS.length);
  private currentCpu = 0;
  private nodeOfCpu: NodeId | undefined;
  /** The numbers and the per-cpu lists of all zones: see Zone.adopt(). */
  private readonly numbers: Float64Array;
  private readonly stacks: PcpStacks;
  private readonly words: Int32Array;
  /** The current CPU's list of single pages, indexed by placeOfBlock(); 0, an always empty list, for none. */
  private readonly lists: Int32Array;
  private readonly pageLists: PageLists;
  /** Indexed by node and kind of request, four words each: see HOT_SHIFT. Zeros (list 0) when nothing is cached. */
  private readonly hot: Int32Array;
  /** Indexed by node << 3 | zone type. */
  private readonly zones: (Zone | undefined)[];
  /** The zone of each entry of `hot`, indexed by node and kind of request. */
  private readonly hotZones: Zone[] = [];
  private served: Served[] = [];

  constructor(
    kernel: Kernel,
    memmap: MemMap,
    pageblocks: Pageblocks,
    nodes: readonly (MemoryNode | undefined)[],
  ) {
    this.memmap = memmap;
    this.pageblocks = pageblocks;
    this.nodes = nodes;
    this.failPageAlloc = kernel.faults.point("fail_page_alloc");
    this.traceAlloc = kernel.trace.define("kmem", "mm_page_alloc");
    this.traceFree = kernel.trace.define("kmem", "mm_page_free");
    const zones = nodes.flatMap((node) => node?.zones ?? []);
    const cpus = Math.max(0, ...zones.map((zone) => zone.cpus));
    this.numbers = new Float64Array(zones.length * ZONE_NUMBERS);
    this.stacks = new PcpStacks(1 + zones.length * cpus);
    this.words = this.stacks.words;
    for (const [i, zone] of zones.entries()) {
      zone.adopt(this.numbers, i * ZONE_NUMBERS, this.stacks, 1 + i * cpus, () => this.settle());
    }
    this.lists = new Int32Array(nodes.length << 6);
    this.pageLists = memmap.lists;
    this.hot = new Int32Array(nodes.length << (KINDS_SHIFT + HOT_SHIFT));
    this.zones = nodes.flatMap((node) => Array.from({ length: 8 }, (_, type) => node?.zones[type]));
    for (const node of nodes) if (node) node.zonelists.onChange = () => this.forgetHot();
    this.findRecords();
  }

  /** The CPU whose per-cpu lists are used. */
  get cpu(): number {
    return this.currentCpu;
  }

  set cpu(cpu: number) {
    this.forgetHot();
    this.currentCpu = cpu;
    this.findRecords();
  }

  /** The machine's event counters, indexed by VmEvent and up to date. Use countEvent() to add to one. */
  get events(): Float64Array {
    this.settle();
    return this.eventCounts;
  }

  /** Adds `by` to an event counter. @param event a VmEvent @see count_vm_events() */
  countEvent(event: number, by: number): void {
    this.eventCounts[event] = (this.eventCounts[event] as number) + by;
  }

  /**
   * Allocates 2^order pages with one reference, near a node. Their contents are zeros, as freed pages are zeroed.
   *
   * @param gfp bits of Gfp
   * @returns the first page, or NULL_PAGE when no zone can give them without reclaim
   * @throws KernelBug when the order is MAX_ORDER or above and gfp hasn't NOWARN
   * @see __alloc_pages() in mm/page_alloc.c
   */
  allocPages(gfp: number, order: number, near: NodeId): Page {
    // Fast path of nearly every request: one page, from the CPU's list of the zone that served the last such request.
    const { hot, words, numbers } = this;
    const kind = ((near << KINDS_SHIFT) | (gfp & GFP_KIND)) << HOT_SHIFT;
    const list = hot[kind] as number;
    const top = ((words[list] as number) - 1) | 0;
    if (
      order === 0 &&
      top >= (words[list | BOTTOM] as number) &&
      (numbers[hot[kind | HOT_FREE] as number] as number) >
        (numbers[hot[kind | HOT_LOW] as number] as number) &&
      this.failPageAlloc.armed === false &&
      this.traceAlloc.enabled === false
    ) {
      const page = this.stacks.stacks[top] as Page;
      words[list] = top;
      (words[list | SERVED] as number)++;
      (words[list & RECORD_MASK] as number)--;
      this.memmap.setPageRefcounted(page);
      return page;
    }
    return this.allocWarm(gfp, order, near);
  }

  /**
   * Drops the caller's reference to 2^order pages, and frees them when it was the last. When a speculative reference
   * still holds the first page of a block that isn't compound, only that page stays.
   *
   * @throws KernelBug when the pages have no reference, or flags or mappings of pages in use
   * @see __free_pages() in mm/page_alloc.c
   */
  freePages(page: Page, order: number): void {
    if (order !== 0 || this.traceFree.enabled !== false) return this.freeSlowly(page, order);
    const { memmap, words } = this;
    const zone = memmap.release(page, FREED_SLOWLY, CLEARED_AT_FREE);
    if (zone < 0) return this.freeSlowly(page, 0);
    (this.eventCounts[PGFREE] as number)++;
    const list = this.lists[this.pageblocks.placeOf(page, zone)] as number;
    const record = list & RECORD_MASK;
    const top = words[list] as number;
    const count = ((words[record] as number) + 1) | 0;
    if (count >= (words[record | HIGH] as number) || top === words[list | LIMIT])
      return this.giveBackOne(page, list);
    this.stacks.stacks[top] = page;
    words[list] = top + 1;
    words[record] = count;
  }

  /**
   * Frees 2^order pages without references. The last putPage() calls this.
   *
   * @throws KernelBug when one has flags or mappings of a page in use, or is part of a larger compound page
   * @see free_unref_page() in mm/page_alloc.c
   */
  freeUnrefPages(page: Page, order: number): void {
    if (this.traceFree.enabled) this.traceFree.emit({ page, order });
    // A HWPoison page is neither freed nor counted.
    if ((stripPages(this.memmap, page, order) & PageFlag.hwpoison) !== 0) return;
    this.countEvent(PGFREE, 1 << order);
    this.giveBack(page, order);
  }

  /** The zone that a page belongs to. */
  zoneOf(page: Page): Zone {
    const { memmap } = this;
    return this.zones[(memmap.nodeOf(page) << 3) | memmap.zoneOf(page)] ?? this.noZone(page);
  }

  /** Puts pages on the free lists, past the per-cpu lists, for drained, onlined and un-isolated pages. */
  freeToBuddy(zone: Zone, page: Page, order: number, type: MigrateType, toTail: boolean): void {
    zone.freeBlock(page, order, type, toTail);
  }

  /** Moves all pages of a zone's per-cpu lists to its free lists. @see drain_all_pages() */
  drainPcp(zone: Zone): void {
    drainPcp(this.stacks, zone, this.pageblocks);
  }

  /** Sets nodeOfCpu and `lists` for the current CPU. */
  private findRecords(): void {
    this.nodeOfCpu = this.nodes.find((node) => node?.cpus.includes(this.currentCpu))?.id;
    for (const node of this.nodes) {
      if (!node) continue;
      for (const zone of node.zones) {
        const pcp = zone.pcp[this.currentCpu];
        if (!pcp) continue;
        for (let type = 0; type < MIGRATE_PCPTYPES; type++) {
          const place = placeOfBlock(node.id, zone.type, type as MigrateType);
          const list = pcp.list(0, type as MigrateType);
          this.lists[place] = list;
          this.words[list | ZONE] = zone.firstNumber;
          this.words[list | ZONE_TYPE] = zone.type;
          this.words[list | SINGLES] = zone.free.firstList + type;
        }
      }
    }
  }

  /** Caches the zone that served a request, for the next request of its kind. */
  private rememberHot(gfp: number, zone: Zone, highest: ZoneType): void {
    const { hot } = this;
    const kind = ((zone.node << KINDS_SHIFT) | (gfp & GFP_KIND)) << HOT_SHIFT;
    const pcp = zone.pcp[this.currentCpu];
    if (!pcp || hot[kind] !== 0) return;
    const list = pcp.list(0, gfpMigrateType(gfp));
    hot[kind] = list;
    hot[kind | HOT_FREE] = zone.firstNumber;
    hot[kind | HOT_LOW] = zone.firstNumber + LOW_FOR + highest;
    this.hotZones[kind >> HOT_SHIFT] = zone;
    hot[kind | HOT_SINGLE] = zone.free.firstList + gfpMigrateType(gfp);
    this.served.push({ list, zone });
  }

  private forgetHot(): void {
    this.settle();
    this.served = [];
    this.hot.fill(0);
  }

  /** Adds the fast path's counts, one for each list, to the event counters. @see sum_vm_events() in mm/vmstat.c */
  private settle(): void {
    for (const { list, zone } of this.served) {
      const requests = (this.words[list | SERVED] as number) >>> 0;
      if (requests === 0) continue;
      this.words[list | SERVED] = 0;
      this.countEvent(PGALLOC[zone.type] as number, requests);
      countNuma(zone, zone, this.nodeOfCpu, requests);
    }
  }

  /** The CPU's list is empty. While the lists are bypassed, takes a free page of order 0 without splitting a block. */
  private allocWarm(gfp: number, order: number, near: NodeId): Page {
    const { hot, words, numbers } = this;
    const kind = ((near << KINDS_SHIFT) | (gfp & GFP_KIND)) << HOT_SHIFT;
    const list = hot[kind] as number;
    const free = hot[kind | HOT_FREE] as number;
    if (
      order !== 0 ||
      words[(list & RECORD_MASK) | BYPASSED] !== 1 ||
      (numbers[free] as number) <= (numbers[hot[kind | HOT_LOW] as number] as number) ||
      this.failPageAlloc.armed !== false ||
      this.traceAlloc.enabled !== false
    ) {
      return this.allocSlowly(gfp, order, near);
    }
    const single = hot[kind | HOT_SINGLE] as number;
    const page = this.pageLists.shiftFreeBlock(single as ListId);
    if (page === NULL_PAGE) return this.allocSplit(gfp, near, kind);
    (numbers[free] as number)--;
    (numbers[free + PAGES_OF_TYPE + gfpMigrateType(gfp)] as number)--;
    (words[list | SERVED] as number)++;
    this.memmap.setPageRefcounted(page);
    return page;
  }

  private allocSplit(gfp: number, near: NodeId, kind: number): Page {
    const page = this.hotZones[kind >> HOT_SHIFT]?.takeBlock(0, gfpMigrateType(gfp)) ?? NULL_PAGE;
    if (page === NULL_PAGE) return this.allocSlowly(gfp, 0, near);
    (this.words[(this.hot[kind] as number) | SERVED] as number)++;
    this.memmap.setPageRefcounted(page as Page);
    return page as Page;
  }

  private allocSlowly(gfp: number, order: number, near: NodeId): Page {
    if (order >= MAX_ORDER) {
      if ((gfp & Gfp.NOWARN) !== 0) return NULL_PAGE as Page;
      throw new KernelBug(`allocation of order ${order}: the largest block has order ${MAX_ORDER - 1}`);
    }
    if (this.failPageAlloc.armed && (gfp & Gfp.NOFAIL) === 0 && this.failPageAlloc.shouldFail())
      return NULL_PAGE as Page;
    let page = this.fromFreelist(gfp, order, near, ALLOC_WMARK_LOW);
    if (page === NULL_PAGE) page = this.allocSlowpath(gfp, order, near);
    if (this.traceAlloc.enabled) this.traceAlloc.emit({ page, order, gfp, migratetype: gfpMigrateType(gfp) });
    return page;
  }

  private freeSlowly(page: Page, order: number): void {
    if (this.memmap.putPageTestzero(page)) {
      this.freeUnrefPages(page, order);
      return;
    }
    if (this.memmap.test(page, PageFlag.head)) return;
    for (let level = order - 1; level >= 0; level--)
      this.freeUnrefPages((page + (1 << level)) as Page, level);
  }

  /** The CPU's list is full or bypassed. While bypassed, a page whose buddy is in use goes to the order-0 free list. */
  private giveBackOne(page: Page, list: number): void {
    const { memmap, numbers, words } = this;
    const zone = words[list | ZONE_TYPE] as number;
    if (words[(list & RECORD_MASK) | BYPASSED] !== 1 || memmap.isFreeBlock((page ^ 1) as Page, zone, 0)) {
      return this.giveBack(page, 0);
    }
    const toTail = memmap.isFreeBlock(((page & ~1) ^ 2) as Page, zone, 1);
    const type = this.pageblocks.get(page);
    this.pageLists.addFreeBlock(words[list | SINGLES] as ListId, page, 0, type, toTail);
    const free = words[list | ZONE] as number;
    (numbers[free] as number)++;
    (numbers[free + PAGES_OF_TYPE + type] as number)++;
  }

  /** Puts stripped pages on a list of the CPU, or on the free lists. */
  private giveBack(page: Page, order: number): void {
    const zone = this.zoneOf(page);
    const type = this.pageblocks.get(page);
    if (zone.pcpDisabled > 0 || type >= PCP_TYPES || order > PAGE_ALLOC_COSTLY_ORDER) {
      zone.freeBlock(page, order, type, false);
      return;
    }
    const pcp = zone.pcp[this.currentCpu] ?? this.noLists(zone);
    freeToPcp(this.stacks, zone, pcp, page, order, type, this.pageblocks);
  }

  /** Tries the min watermark, then for MEMALLOC requests no watermark at all. @see __alloc_pages_slowpath() */
  private allocSlowpath(gfp: number, order: number, near: NodeId): Page {
    const page = this.fromFreelist(gfp, order, near, ALLOC_WMARK_MIN);
    if (page !== NULL_PAGE || (gfp & (Gfp.MEMALLOC | Gfp.NOMEMALLOC)) !== Gfp.MEMALLOC) return page;
    return this.fromFreelist(gfp, order, near, ALLOC_NO_WATERMARKS);
  }

  /** @see get_page_from_freelist() */
  private fromFreelist(gfp: number, order: number, near: NodeId, mark: AllocMark): Page {
    const node = this.nodes[near] ?? this.noNode(near);
    const highest = gfpZone(gfp);
    const zones = (gfp & Gfp.THISNODE) !== 0 ? node.zonelists.thisNode : node.zonelists.fallback;
    let preferred: Zone | undefined;
    for (let i = 0; i < zones.length; i++) {
      const zone = zones[i] as Zone;
      if (zone.type > highest) continue;
      preferred ??= zone;
      if (!watermarkOk(zone, order, mark, highest, gfp)) continue;
      const page = this.fromZone(zone, gfp, order);
      if (page === NULL_PAGE) continue;
      if (zone === preferred && zone.node === near && order === 0) this.rememberHot(gfp, zone, highest);
      countNuma(zone, preferred, this.nodeOfCpu, 1);
      this.countEvent(PGALLOC[zone.type] as number, 1 << order);
      if (order === 0) this.memmap.setPageRefcounted(page);
      else prepareBlock(this.memmap, page, order, (gfp & Gfp.COMP) !== 0);
      return page;
    }
    return NULL_PAGE as Page;
  }

  /** @see rmqueue() */
  private fromZone(zone: Zone, gfp: number, order: number): Page {
    const type = gfpMigrateType(gfp);
    if (order > PAGE_ALLOC_COSTLY_ORDER || zone.pcpDisabled > 0) return zone.takeBlock(order, type);
    const pcp = zone.pcp[this.currentCpu] ?? this.noLists(zone);
    const list = pcp.list(order, type);
    if (this.stacks.length(list) === 0 && !refillPcp(this.stacks, zone, pcp, order, type))
      return NULL_PAGE as Page;
    pcp.count -= 1 << order;
    return this.stacks.pop(list);
  }

  // Errors are thrown by functions of their own, so that the hot paths stay short enough to be inlined.

  private noNode(near: NodeId): never {
    throw new KernelBug(`allocation near node ${near}, which does not exist`);
  }

  private noLists(zone: Zone): never {
    throw new KernelBug(`zone ${zone.name} of node ${zone.node} has no lists for cpu ${this.cpu}`);
  }

  private noZone(page: Page): never {
    throw new KernelBug(`${describePage(this.memmap, page)} belongs to no zone`);
  }
}

/** Adds `by` to a counter of a zone. @param item a ZoneStat */
export function addTo(zone: Zone, item: number, by: number): void {
  zone.stat[item] = (zone.stat[item] as number) + by;
}
