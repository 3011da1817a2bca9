// The page allocator: walks a zonelist, keeps the watermarks, serves small requests from per-cpu lists and the rest
// from the buddy. Everything here is atomic; what waits for memory (reclaim, compaction) is built above it. Kernel
// counterpart: mm/page_alloc.c.
import { type FaultPoint, type Kernel, KernelBug, type NodeId, type Page, type Tracepoint } from "@hetmem/kernel";
import { describePage, type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, gfpMigrateType, gfpZone } from "./gfp.ts";
import type { MemoryNode } from "./node.ts";
import type { Pageblocks } from "./pageblock.ts";
import { VM_EVENTS, VmEvent, NumaStat, ZoneStat } from "./vmstat.ts";
import {
  LIST_BOTTOM,
  LIST_LIMIT,
  LIST_SERVED,
  PCP_HIGH,
  PCP_LISTS,
  PCP_RECORD,
  pcpListOrder,
  PcpStacks,
  type PerCpuPages,
} from "./pcp.ts";
import { type Zone, ZONE_NUMBERS, ZoneNumber } from "./zone.ts";
import { MAX_ORDER, MIGRATE_PCPTYPES, MigrateType, PAGE_ALLOC_COSTLY_ORDER, ZONE_NAMES, type ZoneType } from "./zone-type.ts";

/** Event of the tracepoint mm_page_alloc. */
export interface MmPageAlloc {
  readonly page: Page;
  readonly order: number;
  readonly gfp: number;
  readonly migratetype: MigrateType;
}
/** Event of the tracepoint mm_page_free. */
export interface MmPageFree {
  readonly page: Page;
  readonly order: number;
}

/** A list that serves the fast path, and where its requests are to be counted. */
interface Served {
  readonly list: number;
  readonly zone: Zone;
}

/** Set on pages that must not be freed. @see PAGE_FLAGS_CHECK_AT_FREE */
const BAD_AT_FREE =
  PageFlag.lru | PageFlag.locked | PageFlag.private | PageFlag.writeback | PageFlag.reserved | PageFlag.slab |
  PageFlag.active | PageFlag.unevictable | PageFlag.mlocked | PageFlag.buddy | PageFlag.isolated;
/** Dropped when a page is freed. */
const DROPPED_AT_FREE = 0x07ff_ffff & ~PageFlag.hwpoison;
/** Pages that are more than themselves: freed with their block or not at all. */
const PAGES_OF_MANY = PageFlag.head | PageFlag.tail;

/** How deep an allocation may dig. @see ALLOC_WMARK_LOW in mm/internal.h */
const ALLOC_WMARK_LOW = 0;
const ALLOC_WMARK_MIN = 1;
const ALLOC_NO_WATERMARKS = 2;
type AllocMark = typeof ALLOC_WMARK_LOW | typeof ALLOC_WMARK_MIN | typeof ALLOC_NO_WATERMARKS;

const PGALLOC = Int32Array.from(ZONE_NAMES, (name) => VmEvent[`pgalloc_${name.toLowerCase() as "dma"}`]);
// The counters of the hot paths, looked up once.
const PGFREE = VmEvent.pgfree;
const { numaStat: NUMA, min: MIN, low: LOW, boost: BOOST, lowmemReserve: RESERVE, lowFor: LOW_FOR } = ZoneNumber;
const NR_FREE_PAGES = ZoneStat.nr_free_pages;

/** Bits of a request that say which zones and which lists may serve it. */
const GFP_KIND = Gfp.DMA | Gfp.HIGHMEM | Gfp.DMA32 | Gfp.MOVABLE | Gfp.RECLAIMABLE;
const KINDS_SHIFT = 5;
/** What is remembered of a kind of request near a node: the list that served it, the zone's number of free pages and what it must exceed. */
const HOT_SHIFT = 2;
const HOT_FREE = 1;
const HOT_LOW = 2;
// Constants of other modules that the hot paths use: a binding of another module is read at each use, a local one is not.
const BOTTOM = LIST_BOTTOM;
const LIMIT = LIST_LIMIT;
const SERVED = LIST_SERVED;
const HIGH = PCP_HIGH;
const RECORD_MASK = ~(PCP_RECORD - 1);
/** What the fast path of a free leaves to the slow one. */
const NOT_FREED_FAST: number = BAD_AT_FREE | PAGES_OF_MANY | PageFlag.hwpoison;

export class PageAllocator {
  readonly memmap: MemMap;
  readonly pageblocks: Pageblocks;
  /** By node number; absent where no node is possible. */
  readonly nodes: readonly (MemoryNode | undefined)[];
  private readonly failPageAlloc: FaultPoint;
  private readonly traceAlloc: Tracepoint<MmPageAlloc>;
  private readonly traceFree: Tracepoint<MmPageFree>;
  private readonly eventCounts: Float64Array = new Float64Array(VM_EVENTS.length);
  private currentCpu = 0;
  private nodeOfCpu = -1;
  /** The numbers of all zones, and the per-cpu lists of all: see Zone.adopt(). */
  private readonly numbers: Float64Array;
  private readonly stacks: PcpStacks;
  private readonly words: Int32Array;
  /** By node, zone (3 bits) and migrate type (3 bits): the current cpu's list. 0, which is nobody's, where there is none. */
  private readonly lists: Int32Array;
  /** By node and kind of request, four words each. Zeros where nothing is remembered: list 0 is empty for ever. */
  private readonly hot: Int32Array;
  private readonly hotZones: Zone[] = [];
  private served: Served[] = [];
  private readonly refill: Int32Array = new Int32Array(1 << 15);

  constructor(kernel: Kernel, memmap: MemMap, pageblocks: Pageblocks, nodes: readonly (MemoryNode | undefined)[]) {
    this.memmap = memmap;
    this.pageblocks = pageblocks;
    this.nodes = nodes;
    this.failPageAlloc = kernel.faults.point("fail_page_alloc");
    this.traceAlloc = kernel.trace.define("kmem", "mm_page_alloc");
    this.traceFree = kernel.trace.define("kmem", "mm_page_free");
    const zones = nodes.flatMap((node) => node?.zones ?? []);
    const cpus = Math.max(0, ...zones.map((zone) => zone.pcp.length));
    this.numbers = new Float64Array(zones.length * ZONE_NUMBERS);
    this.stacks = new PcpStacks(1 + zones.length * cpus);
    this.words = this.stacks.words;
    for (const [i, zone] of zones.entries()) {
      zone.adopt(this.numbers, i * ZONE_NUMBERS, this.stacks, 1 + i * cpus, () => this.settle());
    }
    this.lists = new Int32Array(nodes.length << 6);
    this.hot = new Int32Array(nodes.length << (KINDS_SHIFT + HOT_SHIFT));
    for (const node of nodes) if (node) node.zonelists.onChange = () => this.forgetHot();
    this.findRecords();
  }

  /** The cpu whose per-cpu lists are used. */
  get cpu(): number {
    return this.currentCpu;
  }

  set cpu(cpu: number) {
    this.forgetHot();
    this.currentCpu = cpu;
    this.findRecords();
  }

  /** Events of the machine, by VmEvent, up to now. Who counts one uses countEvent(). */
  get events(): Float64Array {
    this.settle();
    return this.eventCounts;
  }

  /** Counts something, by VmEvent. @see count_vm_events() */
  countEvent(event: number, by: number): void {
    this.eventCounts[event] = (this.eventCounts[event] as number) + by;
  }

  /**
   * Allocates 2^order pages with one reference, near a node. They read as zeros, as everything does that was freed.
   *
   * @returns NULL_PAGE when no zone can give them without reclaim
   * @throws KernelBug when the order is larger than the largest block, unless the caller asked for no warnings
   * @see __alloc_pages() in mm/page_alloc.c
   */
  allocPages(gfp: number, order: number, near: NodeId): Page {
    // Nearly every request: one page, from the cpu's list in the zone that served the last request of this kind.
    const { hot, words, numbers } = this;
    const kind = ((near << KINDS_SHIFT) | (gfp & GFP_KIND)) << HOT_SHIFT;
    const list = hot[kind] as number;
    const top = ((words[list] as number) - 1) | 0;
    if (
      order === 0 &&
      top >= (words[list | BOTTOM] as number) &&
      (numbers[hot[kind | HOT_FREE] as number] as number) > (numbers[hot[kind | HOT_LOW] as number] as number) &&
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
   * Drops the caller's reference to 2^order pages, and frees them when it was the last. Somebody who looked at a page
   * that isn't compound and still holds the first one keeps that one page; the others go.
   *
   * @throws KernelBug when nobody held them, or when they are still in use
   * @see __free_pages() in mm/page_alloc.c
   */
  freePages(page: Page, order: number): void {
    if (order !== 0 || this.traceFree.enabled !== false) return this.freeSlowly(page, order);
    const { memmap, words } = this;
    const zone = memmap.release(page, NOT_FREED_FAST, DROPPED_AT_FREE);
    if (zone < 0) return this.freeSlowly(page, 0);
    (this.eventCounts[PGFREE] as number)++;
    const list = this.lists[(memmap.nodeOf(page) << 6) | (zone << 3) | this.pageblocks.get(page)] as number;
    const record = list & RECORD_MASK;
    const top = words[list] as number;
    const count = ((words[record] as number) + 1) | 0;
    if (count >= (words[record | HIGH] as number) || top === words[list | LIMIT]) return this.giveBack(page, 0);
    this.stacks.stacks[top] = page;
    words[list] = top + 1;
    words[record] = count;
  }

  /**
   * Frees 2^order pages whose references are all gone: what a last putPage() calls.
   *
   * @throws KernelBug when one is still in use, or is a part of something larger
   * @see free_unref_page() in mm/page_alloc.c
   */
  freeUnrefPages(page: Page, order: number): void {
    if (this.traceFree.enabled) this.traceFree.emit({ page, order });
    const { memmap, eventCounts } = this;
    const had = order === 0 ? memmap.strip(page, BAD_AT_FREE | PAGES_OF_MANY, DROPPED_AT_FREE) : this.stripBlock(page, order);
    if (had === 0) this.badPage(page);
    eventCounts[PGFREE] = (eventCounts[PGFREE] as number) + (1 << order);
    // A broken page goes nowhere.
    if ((had & PageFlag.hwpoison) === 0) this.giveBack(page, order);
  }

  /** The zone that a page belongs to. */
  zoneOf(page: Page): Zone {
    const zone = this.nodes[this.memmap.nodeOf(page)]?.zones[this.memmap.zoneOf(page)];
    return zone ?? this.noZone(page);
  }

  /** Puts pages straight on the free lists: drained, onlined and un-isolated pages come here. */
  freeToBuddy(zone: Zone, page: Page, order: number, type: MigrateType, toTail: boolean): void {
    zone.free.free(page, order, type, toTail);
    // Isolated pages are free, but not to be had: they don't count.
    if (type !== MigrateType.Isolate) addTo(zone, NR_FREE_PAGES, 1 << order);
  }

  /** Gives every page on a zone's per-cpu lists back to the buddy. @see drain_all_pages() */
  drainPcp(zone: Zone): void {
    const { stacks } = this;
    for (const pcp of zone.pcp) {
      for (let i = 0; i < PCP_LISTS; i++) {
        const list = pcp.listAt(i);
        while (stacks.length(list) > 0) this.drainOne(zone, stacks.popOldest(list), pcpListOrder(i));
      }
      pcp.count = 0;
    }
  }

  /** Finds the records of the current cpu, and forgets what was found for another. */
  private findRecords(): void {
    this.nodeOfCpu = this.nodes.find((node) => node?.cpus.includes(this.currentCpu))?.id ?? -1;
    for (const node of this.nodes) {
      if (!node) continue;
      for (const zone of node.zones) {
        const pcp = zone.pcp[this.currentCpu];
        for (let type = 0; pcp && type < MIGRATE_PCPTYPES; type++) {
          this.lists[(node.id << 6) | (zone.type << 3) | type] = pcp.list(0, type as MigrateType);
        }
      }
    }
  }

  /** The next request of this kind looks where this one was served. */
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
    this.served.push({ list, zone });
  }

  private forgetHot(): void {
    this.settle();
    this.served = [];
    this.hot.fill(0);
  }

  /** Counts what the fast path has served: a counter a list is all it keeps. @see sum_vm_events() in mm/vmstat.c */
  private settle(): void {
    for (const { list, zone } of this.served) {
      const requests = (this.words[list | SERVED] as number) >>> 0;
      if (requests === 0) continue;
      this.words[list | SERVED] = 0;
      this.countEvent(PGALLOC[zone.type] as number, requests);
      addNuma(zone, NumaStat.numa_hit, requests);
      addNuma(zone, this.localOrOther(zone), requests);
    }
  }

  /** @see zone_statistics() */
  private countNuma(zone: Zone, preferred: Zone): void {
    addNuma(zone, this.localOrOther(zone), 1);
    addNuma(zone, zone.node === preferred.node ? NumaStat.numa_hit : NumaStat.numa_miss, 1);
    if (zone.node !== preferred.node) addNuma(preferred, NumaStat.numa_foreign, 1);
  }

  /** Whether the zone is on the node of the cpu that asks. */
  private localOrOther(zone: Zone): number {
    return zone.node === this.nodeOfCpu ? NumaStat.numa_local : NumaStat.numa_other;
  }

  /** The list is empty, or the request isn't for one page: the zone may be known all the same. */
  private allocWarm(gfp: number, order: number, near: NodeId): Page {
    const kind = (near << KINDS_SHIFT) | (gfp & GFP_KIND);
    const at = kind << HOT_SHIFT;
    const { hot, numbers } = this;
    const list = hot[at] as number;
    if (order !== 0 || list === 0 || this.failPageAlloc.armed !== false || this.traceAlloc.enabled !== false) {
      return this.allocSlowly(gfp, order, near);
    }
    const free = hot[at | HOT_FREE] as number;
    const zone = this.hotZones[kind];
    if (!zone || (numbers[free] as number) <= (numbers[hot[at | HOT_LOW] as number] as number)) return this.allocSlowly(gfp, order, near);
    if (zone.pcpDisabled === 0) return this.allocSlowly(gfp, order, near);
    const page = zone.free.take(0, gfpMigrateType(gfp));
    if (page === NULL_PAGE) return this.allocSlowly(gfp, order, near);
    numbers[free] = (numbers[free] as number) - 1;
    (this.words[list | SERVED] as number)++;
    this.memmap.setPageRefcounted(page);
    return page;
  }

  private allocSlowly(gfp: number, order: number, near: NodeId): Page {
    if (order >= MAX_ORDER) {
      if ((gfp & Gfp.NOWARN) !== 0) return NULL_PAGE as Page;
      throw new KernelBug(`allocation of order ${order}: the largest block has order ${MAX_ORDER - 1}`);
    }
    if (this.failPageAlloc.armed && (gfp & Gfp.NOFAIL) === 0 && this.failPageAlloc.shouldFail()) return NULL_PAGE as Page;
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
    for (let level = order - 1; level >= 0; level--) this.freeUnrefPages((page + (1 << level)) as Page, level);
  }

  /** Puts stripped pages on a list of the cpu, or back into the buddy. */
  private giveBack(page: Page, order: number): void {
    const zone = this.zoneOf(page);
    const type = this.pageblocks.get(page);
    if (order > PAGE_ALLOC_COSTLY_ORDER || type >= MigrateType.HighAtomic || zone.pcpDisabled > 0) {
      this.freeToBuddy(zone, page, order, type, false);
      return;
    }
    const pcp = zone.pcp[this.currentCpu] ?? this.noLists(zone);
    this.stacks.push(pcp.list(order, type), page);
    pcp.count += 1 << order;
    if (pcp.count >= pcp.high) this.trimPcp(zone, pcp, order * MIGRATE_PCPTYPES + type);
  }

  /** Down to the reserves that nobody but the urgent may touch. @see __alloc_pages_slowpath() */
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
      this.countNuma(zone, preferred);
      this.countEvent(PGALLOC[zone.type] as number, 1 << order);
      if (order === 0) this.memmap.setPageRefcounted(page);
      else this.prepareBlock(page, order, (gfp & Gfp.COMP) !== 0);
      return page;
    }
    return NULL_PAGE as Page;
  }

  /** @see rmqueue() */
  private fromZone(zone: Zone, gfp: number, order: number): Page {
    const type = gfpMigrateType(gfp);
    if (order > PAGE_ALLOC_COSTLY_ORDER || zone.pcpDisabled > 0) return this.takeFromBuddy(zone, order, type);
    const pcp = zone.pcp[this.currentCpu] ?? this.noLists(zone);
    const list = pcp.list(order, type);
    if (this.stacks.length(list) === 0 && !this.refillPcp(zone, pcp, order, type)) return NULL_PAGE as Page;
    pcp.count -= 1 << order;
    return this.stacks.pop(list);
  }

  /** Moves a batch from the buddy to an empty list: what the buddy gave first is used first. @see rmqueue_bulk() */
  private refillPcp(zone: Zone, pcp: PerCpuPages, order: number, type: MigrateType): boolean {
    const list = pcp.list(order, type);
    const { batch } = pcp;
    const wanted = batch > 1 ? Math.max(batch >> order, 2) : 1;
    const { refill } = this;
    let blocks = 0;
    while (blocks < wanted) {
      const page = zone.free.take(order, type);
      if (page === NULL_PAGE) break;
      refill[blocks++] = page;
    }
    for (let i = blocks - 1; i >= 0; i--) this.stacks.push(list, refill[i] as Page);
    pcp.count += blocks << order;
    addTo(zone, NR_FREE_PAGES, -(blocks << order));
    return blocks > 0;
  }

  private takeFromBuddy(zone: Zone, order: number, type: MigrateType): Page {
    const page = zone.free.take(order, type);
    if (page !== NULL_PAGE) addTo(zone, NR_FREE_PAGES, -(1 << order));
    return page;
  }

  /** A compound page has its reference in the head; its tails know the head. @see prep_new_page(), prep_compound_page() */
  private prepareBlock(head: Page, order: number, compound: boolean): void {
    const { memmap } = this;
    memmap.setPageRefcounted(head);
    for (let i = 1; i < 1 << order; i++) {
      const page = (head + i) as Page;
      memmap.setPageRefcounted(page);
      memmap.setRefcount(page, 0);
      if (!compound) continue;
      memmap.set(page, PageFlag.tail);
      memmap.setPrivate(page, head);
    }
    if (!compound) return;
    memmap.set(head, PageFlag.head);
    memmap.setPrivate(head, order);
  }

  /** @returns the flags that the first page had, 0 when a page of the block is bad */
  private stripBlock(head: Page, order: number): number {
    const { memmap } = this;
    const compound = memmap.test(head, PageFlag.head);
    if (compound && memmap.compoundOrder(head) !== order) return 0;
    const had = memmap.strip(head, BAD_AT_FREE | PageFlag.tail, DROPPED_AT_FREE);
    for (let i = 1; i < 1 << order && had !== 0; i++) {
      const page = (head + i) as Page;
      if (memmap.compoundHead(page) !== (compound ? head : page)) this.badPage(page);
      if (memmap.strip(page, BAD_AT_FREE | PageFlag.head, DROPPED_AT_FREE) === 0) this.badPage(page);
    }
    return had;
  }

  /** Gives a batch back: the oldest blocks of the list that just grew, then those of the next. @see free_pcppages_bulk() */
  private trimPcp(zone: Zone, pcp: PerCpuPages, grown: number): void {
    const { stacks } = this;
    let left = Math.min(pcp.batch, pcp.count);
    for (let i = grown; left > 0; i = (i + 1) % PCP_LISTS) {
      const list = pcp.listAt(i);
      const order = pcpListOrder(i);
      while (left > 0 && stacks.length(list) > 0) {
        this.drainOne(zone, stacks.popOldest(list), order);
        pcp.count -= 1 << order;
        left -= 1 << order;
      }
    }
  }

  private drainOne(zone: Zone, page: Page, order: number): void {
    this.freeToBuddy(zone, page, order, this.pageblocks.get(page), false);
  }

  // What is wrong is said elsewhere than it is found: a hot path stays short enough to be inlined.

  /** @see bad_page() */
  private badPage(page: Page): never {
    const { memmap } = this;
    const part = memmap.test(page, PAGES_OF_MANY) ? "a part of a compound page freed" : "bad page freed";
    throw new KernelBug(`${part}: ${describePage(memmap, page)}`);
  }

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

/**
 * Whether a zone can give 2^order pages and keep its reserves.
 *
 * @see zone_watermark_fast(), __zone_watermark_ok()
 */
function watermarkOk(zone: Zone, order: number, mark: AllocMark, highest: number, gfp: number): boolean {
  const { numbers, firstNumber: first } = zone;
  const free = numbers[first] as number;
  if (mark === ALLOC_WMARK_LOW && order === 0) return free > (numbers[first + LOW_FOR + highest] as number);
  if (mark === ALLOC_NO_WATERMARKS) return true;
  let min = (numbers[first + (mark === ALLOC_WMARK_LOW ? LOW : MIN)] as number) + (numbers[first + BOOST] as number);
  if (mark === ALLOC_WMARK_MIN && (gfp & Gfp.HIGH) !== 0) {
    min -= Math.floor(min / 2);
    // Who can't wait for reclaim either digs deeper.
    if ((gfp & (Gfp.DIRECT_RECLAIM | Gfp.NOMEMALLOC)) === 0) min -= Math.floor(min / 4);
  }
  if (free - ((1 << order) - 1) <= min + (numbers[first + RESERVE + highest] as number)) return false;
  return order === 0 || zone.deferred.pages > 0 || hasBlock(zone, order);
}

function hasBlock(zone: Zone, order: number): boolean {
  for (let level = order; level < MAX_ORDER; level++) {
    for (let type = MigrateType.Unmovable as number; type < MigrateType.HighAtomic; type++) {
      if (zone.free.blocks(level, type as MigrateType) > 0) return true;
    }
  }
  return false;
}

function addNuma({ numbers, firstNumber }: Zone, item: number, by: number): void {
  const at = firstNumber + NUMA + item;
  numbers[at] = (numbers[at] as number) + by;
}

/** Changes a counter of a zone. */
export function addTo(zone: Zone, item: number, by: number): void {
  zone.stat[item] = (zone.stat[item] as number) + by;
}

