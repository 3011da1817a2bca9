// Boots the memory of a machine: adds the firmware's ranges to memblock, sets the spans of zones and nodes, and gives
// all memory that isn't reserved to the allocator. Struct pages are initialised only where needed. Kernel
// counterparts: free_area_init() in mm/page_alloc.c, mem_init() in arch/x86/mm/init_64.c.
import {
  alignDown,
  alignUp,
  type Kernel,
  KernelError,
  MiB,
  type NodeId,
  PAGE_SIZE,
  type Pfn,
  pfnToPhys,
  physAddr,
} from "@hetmem/kernel";
import { MemMap } from "@hetmem/page";
import { logFreeAreaInit } from "./boot-log.ts";
import { type BootNode, type BootRange, memblockOf, movableStartsOf } from "./boot-nodes.ts";
import { initBootSections } from "./boot-sections.ts";
import type { Memblock, PfnRange } from "./memblock.ts";
import { allZones, type Memory } from "./memory.ts";
import { MemoryNode } from "./node.ts";
import { PageAllocator } from "./page-alloc.ts";
import { Pageblocks } from "./pageblock.ts";
import { vmemmapPages } from "./vmemmap.ts";
import { ZoneStat } from "./vmstat.ts";
import { initPerZoneWmarkMin, runsKhugepaged } from "./watermark.ts";
import { archZoneRanges, type MovableOptions, pagesWithin, zoneSizes } from "./zone-sizes.ts";
import { Zone } from "./zone.ts";
import { type ZoneName, ZoneType } from "./zone-type.ts";
import { buildAllZonelists } from "./zonelist.ts";

/** Numbers of a boot zone that were measured on a real host. */
export interface BootZone {
  readonly node: NodeId;
  readonly zone: ZoneName;
  /** Pages never given to the allocator: present minus managed. */
  readonly reservedPages: number;
  /**
   * Pages given to the allocator after the watermarks were set: the initrd and the kernel's init sections. Until a
   * hotplug event recomputes them, the watermarks are those of a zone without these pages.
   */
  readonly freedLatePages?: number;
}

export interface BootConfig extends MovableOptions {
  /** Every possible node, ascending. */
  readonly nodes: readonly BootNode[];
  /**
   * distances[a][b], indexed by position in `nodes`. Where absent: LOCAL_DISTANCE to the node itself, REMOTE_DISTANCE
   * to others.
   */
  readonly distances?: readonly (readonly number[])[];
  /** Bits of a physical address. */
  readonly physicalBits: number;
  /** The most struct pages at once: pages of boot, hotplugged and device memory. */
  readonly maxPages: number;
  /** Ranges that firmware and kernel keep, such as the kernel's image. The first MiB is reserved in any case. None when absent. */
  readonly reserved?: readonly BootRange[];
  /** Measured zones. A zone that isn't listed reserves its part of `reserved`. */
  readonly zones?: readonly BootZone[];
}

/** Distance from a node to itself, and to another node where none is given. @see include/linux/topology.h */
export const LOCAL_DISTANCE = 10;
export const REMOTE_DISTANCE = 20;
/** Linux reserves the first MiB, because BIOSes write to it. @see reserve_real_mode() in arch/x86/realmode/init.c */
const LOW_MEMORY = 1 * MiB;

/**
 * Boots the memory of a machine.
 *
 * @throws KernelError EINVAL for ranges that overlap or a zone that reserves more than it has, ENOMEM when maxPages
 *   doesn't hold the boot memory
 */
export function bootMemory(kernel: Kernel, config: BootConfig): Memory {
  const memblock = collectMemory(config);
  const memmap = new MemMap({ maxPages: config.maxPages, physicalBits: config.physicalBits });
  const pageblocks = new Pageblocks(memmap);
  const nodes = createNodes(memmap, pageblocks, config);
  const allocator = new PageAllocator(kernel, memmap, pageblocks, nodes);
  for (const type of [ZoneType.DMA, ZoneType.DMA32, ZoneType.Normal, ZoneType.Movable]) {
    memmap.setFreePage(type, (page) => allocator.freeUnrefPages(page, memmap.compoundOrder(page)));
  }
  const memory: Memory = {
    kernel,
    memmap,
    allocator,
    memblock,
    nodes,
    distance: distanceTable(config),
    movableNode: config.movable_node === true,
    counters: { poisonedPages: 0, minFreeKbytes: 0, khugepaged: false, policyZone: ZoneType.DMA },
  };
  freeAreaInit(memory, config);
  reserveAsMeasured(memory, config);
  memInit(memory);
  finishBoot(memory, config);
  return memory;
}

/** @see e820__memblock_setup() in arch/x86/kernel/e820.c */
function collectMemory({ nodes, reserved = [] }: BootConfig): Memblock {
  const memblock = memblockOf(nodes);
  memblock.reserve(physAddr(0), LOW_MEMORY);
  for (const { start, end } of reserved) {
    const base = alignDown(start, PAGE_SIZE);
    memblock.reserve(physAddr(base), alignUp(end, PAGE_SIZE) - base);
  }
  return memblock;
}

function createNodes(memmap: MemMap, pageblocks: Pageblocks, config: BootConfig): (MemoryNode | undefined)[] {
  const nodes: (MemoryNode | undefined)[] = [];
  // Per-cpu lists are indexed by CPU number, and the numbers may have gaps.
  const cpus = config.nodes.reduce((max, node) => Math.max(max, ...node.cpus.map((cpu) => cpu + 1)), 1);
  for (const { id, cpus: own } of config.nodes) {
    const zones = Object.values(ZoneType).map((type) => new Zone(memmap, pageblocks, id, type, cpus));
    nodes[id] = new MemoryNode(id, own, zones);
  }
  return Array.from(nodes);
}

function distanceTable({ nodes, distances = [] }: BootConfig): Memory["distance"] {
  const position = new Map(nodes.map(({ id }, index) => [id, index]));
  return (from, to) => {
    const known = distances[position.get(from) ?? -1]?.[position.get(to) ?? -1];
    return known ?? (from === to ? LOCAL_DISTANCE : REMOTE_DISTANCE);
  };
}

/** Sets the span of each zone and node. @see free_area_init() */
function freeAreaInit(memory: Memory, config: BootConfig): void {
  const { memblock } = memory;
  const ranges = archZoneRanges(memblock);
  const movableStarts = movableStartsOf(memblock, config.nodes, config);
  for (const node of memory.nodes) {
    if (!node) continue;
    const frames = memblock.pfnRanges(node.id);
    for (const [type, size] of zoneSizes(frames, ranges, movableStarts.get(node.id)).entries()) {
      const zone = node.zones[type];
      if (!zone || size.end <= size.start) continue;
      zone.startPfn = size.start;
      zone.spannedPages = size.end - size.start;
      zone.presentPages = size.presentPages;
      zone.presentEarlyPages = size.presentPages;
    }
    const first = frames[0];
    const last = frames.at(-1);
    if (first && last) {
      node.startPfn = first.start;
      node.spannedPages = last.end - first.start;
    }
    node.online = first !== undefined || node.cpus.length > 0;
  }
  logFreeAreaInit(memory, ranges, movableStarts);
}

/**
 * Makes each measured zone reserve as many pages as on the host. Missing pages are reserved from the top of the zone,
 * as memblock allocates; surplus pages are freed from the top.
 */
function reserveAsMeasured({ memblock, nodes }: Memory, { zones = [] }: BootConfig): void {
  for (const { node, zone: name, reservedPages } of zones) {
    const zone = nodes[node]?.zones.find((candidate) => candidate.name === name);
    if (!zone || reservedPages > zone.presentPages) {
      const present = zone?.presentPages ?? 0;
      throw new KernelError(
        "EINVAL",
        `zone ${name} of node ${node} reserves ${reservedPages} pages and has ${present}`,
      );
    }
    const limits = { min: zone.startPfn * PAGE_SIZE, max: zone.endPfn * PAGE_SIZE };
    const free = memblock.freePfnRanges(node, limits);
    const missing = reservedPages - (zone.presentPages - pagesWithin(free, zone.startPfn, zone.endPfn));
    if (missing > 0) reserveTop(memblock, free, missing);
    else if (missing < 0) giveBackTop(memblock, memblock.pfnRanges(node), zone, -missing);
  }
}

function reserveTop(memblock: Memblock, free: readonly PfnRange[], pages: number): void {
  let left = pages;
  for (const { start, end } of free.toReversed()) {
    const taken = Math.min(left, end - start);
    if (taken > 0) memblock.reserve(pfnToPhys((end - taken) as Pfn), taken * PAGE_SIZE);
    left -= taken;
  }
}

function giveBackTop(memblock: Memblock, frames: readonly PfnRange[], zone: Zone, pages: number): void {
  let left = pages;
  for (const region of memblock.reserved.toReversed()) {
    for (const range of frames.toReversed()) {
      const start = Math.max(range.start, region.base / PAGE_SIZE, zone.startPfn);
      const end = Math.min(range.end, region.end / PAGE_SIZE, zone.endPfn);
      const given = Math.min(left, end - start);
      if (given > 0) memblock.free(pfnToPhys((end - given) as Pfn), given * PAGE_SIZE);
      left -= Math.max(given, 0);
    }
  }
}

/** Gives all memory that isn't reserved to the allocator. @see mem_init() in arch/x86/mm/init_64.c */
function memInit(memory: Memory): void {
  for (const zone of allZones(memory)) zone.managedPages = managedEstimate(memory.memblock, zone);
  buildAllZonelists(memory);
  initBootSections(memory);
  const free = memory.memblock.freePfnRanges();
  for (const zone of allZones(memory)) {
    const own = free.filter(({ node }) => node === zone.node);
    zone.managedPages = pagesWithin(own, zone.startPfn, zone.endPfn);
    zone.stat[ZoneStat.nr_free_pages] = zone.managedPages;
  }
}

/**
 * First estimate of managedPages, for the zonelists: present pages without those of struct pages.
 *
 * @see free_area_init_core()
 */
function managedEstimate(memblock: Memblock, zone: Zone): number {
  const { presentPages, spannedPages } = zone;
  const holed = spannedPages > presentPages + (presentPages >> 4);
  const estimate = Math.max(presentPages - vmemmapPages(holed ? presentPages : spannedPages), 0);
  if (zone.type !== ZoneType.DMA) return estimate;
  const free = pagesWithin(memblock.freePfnRanges(zone.node), zone.startPfn, zone.endPfn);
  return Math.max(estimate - (presentPages - free), 0);
}

/** Sets the watermarks as they are before the zones' freedLatePages are free. */
function finishBoot(memory: Memory, { zones = [] }: BootConfig): void {
  const late = zones.flatMap(({ node, zone: name, freedLatePages = 0 }) => {
    const zone = memory.nodes[node]?.zones.find((candidate) => candidate.name === name);
    return zone ? [{ zone, pages: Math.min(freedLatePages, zone.managedPages) }] : [];
  });
  for (const { zone, pages } of late) zone.managedPages -= pages;
  const managed = [...allZones(memory)].reduce((sum, zone) => sum + zone.managedPages, 0);
  memory.counters.khugepaged = runsKhugepaged(managed);
  initPerZoneWmarkMin(memory);
  for (const { zone, pages } of late) zone.managedPages += pages;
}
