// The span of each zone of each node at boot. DMA ends at 16 MiB, DMA32 at 4 GiB, and Normal is the memory above;
// kernelcore=, movablecore= and movable_node set the start of ZONE_MOVABLE in each node. Kernel counterpart:
// find_zone_movable_pfns_for_nodes() and calculate_node_totalpages() in mm/page_alloc.c.
import { alignUp, GiB, MiB, type NodeId, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import type { Memblock, PfnRange } from "./memblock.ts";
import { MAX_NR_ZONES, MAX_ORDER_NR_PAGES, ZoneType } from "./zone-type.ts";

/** Options that set the size of ZONE_MOVABLE at boot. Sizes are in bytes. */
export interface MovableOptions {
  /** Total memory outside ZONE_MOVABLE, spread evenly over the nodes. */
  readonly kernelcore?: number;
  /** Total memory in ZONE_MOVABLE, spread evenly over the nodes. */
  readonly movablecore?: number;
  /** Memory that the firmware marks as hotpluggable is ZONE_MOVABLE; the two sizes are ignored. */
  readonly movable_node?: boolean;
}

/** The frames [start, end) that a zone spans, and the number of them that are memory. */
export interface ZoneSize {
  readonly start: Pfn;
  readonly end: Pfn;
  readonly presentPages: number;
}

/** Frames [low, high) that a zone type can have on any node. */
export interface ZoneRange {
  readonly low: Pfn;
  readonly high: Pfn;
}

const DMA_END = (16 * MiB) / PAGE_SIZE;
const DMA32_END = (4 * GiB) / PAGE_SIZE;

/**
 * First frame that a zone of a type never has: devices that address 24 or 32 bits count on it.
 *
 * @see MAX_DMA_PFN and MAX_DMA32_PFN in arch/x86/include/asm/dma.h
 */
export function zoneTypeEnd(type: ZoneType): number {
  if (type === ZoneType.DMA) return DMA_END;
  return type === ZoneType.DMA32 ? DMA32_END : Number.POSITIVE_INFINITY;
}

/**
 * The frame range of every zone type, indexed by ZoneType: empty where low and high are equal. Movable and Device
 * have empty ranges, for they have no fixed addresses.
 *
 * @see zone_sizes_init() in arch/x86/mm/init.c
 */
export function archZoneRanges(memblock: Memblock): ZoneRange[] {
  const frames = memblock.pfnRanges();
  const first = frames[0]?.start ?? 0;
  const last = frames.at(-1)?.end ?? 0;
  const dma = clamp(DMA_END, first, last);
  const dma32 = clamp(DMA32_END, first, last);
  const bounds = [first, dma, dma32, Math.max(last, first), 0, 0] as Pfn[];
  return Array.from({ length: MAX_NR_ZONES }, (_, type) =>
    type <= ZoneType.Normal
      ? { low: bounds[type] as Pfn, high: bounds[type + 1] as Pfn }
      : { low: 0 as Pfn, high: 0 as Pfn },
  );
}

/**
 * First frame of ZONE_MOVABLE by node. A node without the zone is absent.
 *
 * @see find_zone_movable_pfns_for_nodes()
 */
export function findMovableStarts(memblock: Memblock, options: MovableOptions): Map<NodeId, Pfn> {
  const starts = options.movable_node
    ? hotpluggableStarts(memblock)
    : startsBehindKernelcore(memblock, options);
  return keptInNode(memblock, starts);
}

/**
 * Sizes of a node's zones, indexed by ZoneType. An empty zone has start equal to end.
 *
 * @see zone_spanned_pages_in_node()
 */
export function zoneSizes(
  frames: readonly PfnRange[],
  ranges: readonly ZoneRange[],
  movableStart: Pfn | undefined,
): ZoneSize[] {
  const nodeStart = frames[0]?.start ?? (0 as Pfn);
  const nodeEnd = frames.at(-1)?.end ?? (0 as Pfn);
  return ranges.map(({ low, high }, type) => {
    let start = clamp(nodeStart, low, high);
    let end = clamp(nodeEnd, low, high);
    if (type === ZoneType.Movable) {
      start = movableStart ?? (0 as Pfn);
      end = movableStart === undefined ? start : nodeEnd;
    } else if (movableStart !== undefined) {
      end = Math.max(start, Math.min(end, movableStart)) as Pfn;
    }
    return { start, end, presentPages: pagesWithin(frames, start, end) };
  });
}

/** Number of frames of the ranges that lie in [start, end). */
export function pagesWithin(frames: readonly PfnRange[], start: number, end: number): number {
  return frames.reduce(
    (sum, range) => sum + Math.max(0, Math.min(range.end, end) - Math.max(range.start, start)),
    0,
  );
}

/** The lowest hotpluggable frame of each node. */
function hotpluggableStarts(memblock: Memblock): Map<NodeId, number> {
  const starts = new Map<NodeId, number>();
  for (const { base, node, hotpluggable } of memblock.memory) {
    if (node === undefined || !hotpluggable) continue;
    const frame = Math.floor(base / PAGE_SIZE);
    starts.set(node, Math.min(frame, starts.get(node) ?? frame));
  }
  return starts;
}

/**
 * Spreads the memory outside ZONE_MOVABLE evenly over the nodes. The part that a small node can't hold is spread over
 * the others in another round.
 */
function startsBehindKernelcore(memblock: Memblock, options: MovableOptions): Map<NodeId, number> {
  const starts = new Map<NodeId, number>();
  const total = pagesWithin(memblock.pfnRanges(), 0, Number.POSITIVE_INFINITY);
  let required = requiredKernelcore(options, total);
  if (required === 0 || required >= total) return starts;
  const nodes = [...new Set(memblock.pfnRanges().map(({ node }) => node))].sort((a, b) => a - b);
  const usableStart = lowestMovableFrame(memblock);
  for (let usable = nodes.length; usable > 0; usable--) {
    let share = Math.floor(required / usable);
    for (const node of nodes) {
      if (required < share) share = Math.floor(required / usable);
      required -= walkNode(memblock.pfnRanges(node), node, starts, usableStart, share, required);
    }
    if (required <= usable - 1) break;
  }
  return starts;
}

/** Pages outside ZONE_MOVABLE; 0 when neither option is given. */
function requiredKernelcore({ kernelcore = 0, movablecore = 0 }: MovableOptions, total: number): number {
  const core = Math.floor(kernelcore / PAGE_SIZE);
  if (movablecore === 0) return core;
  const movable = Math.min(total, alignUp(Math.floor(movablecore / PAGE_SIZE), MAX_ORDER_NR_PAGES));
  return Math.max(core, total - movable);
}

/**
 * First frame of the highest zone with memory: ZONE_MOVABLE gets frames of that zone only.
 *
 * @see find_usable_zone_for_movable()
 */
function lowestMovableFrame(memblock: Memblock): number {
  return archZoneRanges(memblock).findLast(({ low, high }) => high > low)?.low ?? 0;
}

/**
 * Raises a node's start of ZONE_MOVABLE until `share` pages are below it.
 *
 * @returns the pages of `required` that this met
 */
function walkNode(
  frames: readonly PfnRange[],
  node: NodeId,
  starts: Map<NodeId, number>,
  usableStart: number,
  share: number,
  required: number,
): number {
  let remaining = share;
  let met = 0;
  for (const range of frames) {
    let start = Math.max(range.start, starts.get(node) ?? 0);
    if (start >= range.end) continue;
    if (start < usableStart) {
      const kernelOnly = Math.min(range.end, usableStart) - start;
      remaining -= Math.min(kernelOnly, remaining);
      met += Math.min(kernelOnly, required - met);
      if (range.end <= usableStart) {
        starts.set(node, range.end);
        continue;
      }
      start = usableStart;
    }
    const pages = Math.min(range.end - start, remaining);
    starts.set(node, start + pages);
    met += Math.min(pages, required - met);
    remaining -= pages;
    if (remaining === 0) break;
  }
  return met;
}

/** Aligns the starts up to blocks of the largest order, and drops those at or behind their node's end. */
function keptInNode(memblock: Memblock, starts: ReadonlyMap<NodeId, number>): Map<NodeId, Pfn> {
  const kept = new Map<NodeId, Pfn>();
  for (const [node, start] of starts) {
    const aligned = alignUp(start, MAX_ORDER_NR_PAGES) as Pfn;
    if (aligned < (memblock.pfnRanges(node).at(-1)?.end ?? 0)) kept.set(node, aligned);
  }
  return kept;
}

function clamp(frame: number, low: number, high: number): Pfn {
  return Math.min(Math.max(frame, low), high) as Pfn;
}
