// A zone of a node: its span of frames, the numbers of its present and managed pages, its watermarks, and its free
// pages. A Zone is plain state that the allocator, hotplug and the watermark functions change. Kernel counterpart:
// struct zone in include/linux/mmzone.h.
import type { NodeId, Page, Pfn } from "@hetmem/kernel";
import { type MemMap, NULL_PAGE } from "@hetmem/page";
import { DeferredSections } from "./deferred.ts";
import { FreeArea } from "./free-area.ts";
import { PcpStacks, PerCpuPages } from "./pcp.ts";
import type { Pageblocks } from "./pageblock.ts";
import { NUMA_STATS, ZONE_STATS, ZoneStat } from "./vmstat.ts";
import {
  MAX_NR_ZONES,
  MIGRATE_TYPES,
  MigrateType,
  ZONE_NAMES,
  type ZoneName,
  type ZoneType,
} from "./zone-type.ts";
import "./version.ts";

const ISOLATE = MigrateType.Isolate;

/** Watermarks in pages: below min ordinary requests fail, below low kswapd wakes, at high it sleeps. */
export interface Watermarks {
  min: number;
  low: number;
  high: number;
  /** Pages added to the marks after a steal from another migrate type. Always 0 here. */
  boost: number;
}

/**
 * Offsets of a zone's numbers from Zone.firstNumber. All zones share one Float64Array, so that the allocator's fast
 * path reads the numbers of any zone from one array.
 */
export const ZoneNumber = {
  /** The counters of ZoneStat; the first is nr_free_pages. */
  stat: 0,
  numaStat: 11,
  min: 17,
  low: 18,
  high: 19,
  boost: 20,
  lowmemReserve: 21,
  /** Free pages that a request must leave, by the request's highest zone: low watermark, boost and lowmem reserve. */
  lowFor: 26,
  /** Pages on the free lists, by migrate type: see FreeArea. */
  pagesOfType: 32,
} as const;
export const ZONE_NUMBERS = 64;

export class Zone {
  readonly type: ZoneType;
  readonly name: ZoneName;
  readonly node: NodeId;
  /** First frame of the span; without meaning while the span is empty. */
  startPfn: Pfn = 0 as Pfn;
  /** Frames from the first to the last, holes included. */
  spannedPages = 0;
  /** Frames of the span that are memory. */
  presentPages = 0;
  /** Present pages of boot memory. */
  presentEarlyPages = 0;
  /** Present pages given to the allocator. */
  managedPages = 0;
  /** Number of pageblocks of type Isolate. */
  isolatedPageblocks = 0;
  readonly watermark: Watermarks;
  /** Free pages that a request must leave in this zone, by the highest zone that may serve the request. */
  lowmemReserve: Readonly<Float64Array>;
  /** Indexed by ZoneStat. */
  stat: Float64Array;
  /** The array with the zone's numbers: `numbers[firstNumber + ZoneNumber.low]`. */
  numbers: Float64Array = new Float64Array(ZONE_NUMBERS);
  firstNumber = 0;
  readonly deferred: DeferredSections;
  readonly free: FreeArea;
  /** Number of cpus with per-cpu lists. */
  readonly cpus: number;
  private perCpu: readonly PerCpuPages[] | undefined = undefined;
  private pcpDisablers = 0;
  private settle: () => void = () => {};

  constructor(memmap: MemMap, pageblocks: Pageblocks, node: NodeId, type: ZoneType, cpus: number) {
    this.type = type;
    this.name = ZONE_NAMES[type];
    this.node = node;
    this.deferred = new DeferredSections(memmap, pageblocks);
    this.free = new FreeArea(memmap, pageblocks, type, () => this.deferred.grow(this));
    this.watermark = new ZoneWatermarks(this);
    this.stat = partOf(this, ZoneNumber.stat, ZONE_STATS.length);
    this.lowmemReserve = partOf(this, ZoneNumber.lowmemReserve, MAX_NR_ZONES);
    this.free.pagesOfType = partOf(this, ZoneNumber.pagesOfType, MIGRATE_TYPES);
    this.cpus = cpus;
  }

  /** Per-cpu lists, by cpu. Before adopt() they are the zone's own, made at the first use. */
  get pcp(): readonly PerCpuPages[] {
    return (this.perCpu ??= perCpuPages(new PcpStacks(this.cpus), 0, this.cpus));
  }

  /**
   * Moves the numbers and the (empty) per-cpu lists into the arrays of the machine's allocator.
   *
   * @param settle adds the counts of the allocator's fast path to the zone's statistics
   */
  adopt(numbers: Float64Array, first: number, stacks: PcpStacks, record: number, settle: () => void): void {
    this.settle = settle;
    numbers.set(this.numbers.subarray(this.firstNumber, this.firstNumber + ZONE_NUMBERS), first);
    this.numbers = numbers;
    this.firstNumber = first;
    this.stat = partOf(this, ZoneNumber.stat, ZONE_STATS.length);
    this.lowmemReserve = partOf(this, ZoneNumber.lowmemReserve, MAX_NR_ZONES);
    this.free.pagesOfType = partOf(this, ZoneNumber.pagesOfType, MIGRATE_TYPES);
    const own = this.perCpu;
    this.perCpu = perCpuPages(stacks, record, this.cpus);
    for (const [cpu, pcp] of this.perCpu.entries()) {
      const { high, batch } = own?.[cpu] ?? pcp;
      Object.assign(pcp, { high, batch });
    }
    if (this.pcpDisablers > 0) this.pcpDisabled = this.pcpDisablers;
  }

  /** Takes 2^order pages off the free lists. @returns the first page, or NULL_PAGE */
  takeBlock(order: number, type: MigrateType): Page {
    const page = this.free.take(order, type);
    if (page !== NULL_PAGE)
      this.numbers[this.firstNumber] = (this.numbers[this.firstNumber] as number) - (1 << order);
    return page;
  }

  /** Puts 2^order pages on the free lists. Isolated pages can't be allocated, so NR_FREE_PAGES doesn't count them. */
  freeBlock(page: Page, order: number, type: MigrateType, toTail: boolean): void {
    this.free.free(page, order, type, toTail);
    if (type === ISOLATE) return;
    this.numbers[this.firstNumber] = (this.numbers[this.firstNumber] as number) + (1 << order);
  }

  /** Indexed by NumaStat. */
  get numaStat(): Float64Array {
    this.settle();
    return partOf(this, ZoneNumber.numaStat, NUMA_STATS.length);
  }

  /**
   * Sets the free pages that requests whose highest zone is `highest` must leave.
   *
   * @see setup_per_zone_lowmem_reserve()
   */
  setLowmemReserve(highest: ZoneType, pages: number): void {
    this.numbers[this.firstNumber + ZoneNumber.lowmemReserve + highest] = pages;
    this.addUpMarks();
  }

  /** Recomputes lowFor, which the fast path compares with, after a watermark or reserve has changed. */
  addUpMarks(): void {
    const { numbers, firstNumber: first } = this;
    for (let highest = 0; highest < MAX_NR_ZONES; highest++) {
      numbers[first + ZoneNumber.lowFor + highest] =
        this.watermark.low + this.watermark.boost + (this.lowmemReserve[highest] ?? 0);
    }
  }

  /**
   * Number of users that have disabled the per-cpu lists, which are bypassed while it is above 0.
   *
   * @see zone_pcp_disable()
   */
  get pcpDisabled(): number {
    return this.pcpDisablers;
  }

  set pcpDisabled(users: number) {
    this.pcpDisablers = users;
    for (const pcp of this.pcp) pcp.bypassed = users > 0;
  }

  /** First frame behind the span. @see zone_end_pfn() */
  get endPfn(): Pfn {
    return (this.startPfn + this.spannedPages) as Pfn;
  }

  /** @see zone_is_empty() */
  get empty(): boolean {
    return this.spannedPages === 0;
  }

  /** Whether the zone has present pages. @see populated_zone() */
  get populated(): boolean {
    return this.presentPages > 0;
  }

  /** @see zone_intersects() */
  intersects(start: Pfn, pages: number): boolean {
    return !this.empty && start < this.endPfn && start + pages > this.startPfn;
  }

  /** Pages on the free lists and in deferred sections. Pages on per-cpu lists aren't counted. @see NR_FREE_PAGES */
  get freePages(): number {
    return this.stat[ZoneStat.nr_free_pages] as number;
  }
}

function perCpuPages(stacks: PcpStacks, record: number, cpus: number): PerCpuPages[] {
  return Array.from({ length: cpus }, (_, cpu) => new PerCpuPages(stacks, record + cpu));
}

function partOf({ numbers, firstNumber }: Zone, from: number, length: number): Float64Array {
  return numbers.subarray(firstNumber + from, firstNumber + from + length);
}

/**
 * The watermarks as a record over the zone's numbers. ZoneWatermarks is a class because accessors of an object
 * literal would keep its zone alive in V8's shape tables.
 */
class ZoneWatermarks implements Watermarks {
  readonly #zone: Zone;

  constructor(zone: Zone) {
    this.#zone = zone;
  }

  get min(): number {
    return this.#get(ZoneNumber.min);
  }

  set min(pages: number) {
    this.#set(ZoneNumber.min, pages);
  }

  get low(): number {
    return this.#get(ZoneNumber.low);
  }

  set low(pages: number) {
    this.#set(ZoneNumber.low, pages);
  }

  get high(): number {
    return this.#get(ZoneNumber.high);
  }

  set high(pages: number) {
    this.#set(ZoneNumber.high, pages);
  }

  get boost(): number {
    return this.#get(ZoneNumber.boost);
  }

  set boost(pages: number) {
    this.#set(ZoneNumber.boost, pages);
  }

  #get(number: number): number {
    return this.#zone.numbers[this.#zone.firstNumber + number] as number;
  }

  #set(number: number, pages: number): void {
    this.#zone.numbers[this.#zone.firstNumber + number] = pages;
    this.#zone.addUpMarks();
  }
}
