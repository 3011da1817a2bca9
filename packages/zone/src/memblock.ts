// Memory before the buddy allocator: the ranges of memory by node, and the reserved ranges. Each is a sorted list of
// byte ranges without overlap. Memory that isn't reserved goes to the buddy allocator at boot. Kernel counterpart:
// mm/memblock.c.
import {
  alignDown,
  bugOn,
  KernelError,
  type NodeId,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
} from "@hetmem/kernel";

/** Bytes [base, end) of one node. Reserved ranges have no node. */
export interface MemblockRegion {
  readonly base: PhysAddr;
  readonly end: PhysAddr;
  readonly node: NodeId | undefined;
  /** The firmware marks the range as removable while the machine runs. @see MEMBLOCK_HOTPLUG */
  readonly hotpluggable: boolean;
}

/** Whole frames [start, end) of one node. */
export interface PfnRange {
  readonly start: Pfn;
  readonly end: Pfn;
  readonly node: NodeId;
}

/** The range of addresses in which allocTopDown() searches, in bytes [min, max). */
export interface MemblockLimits {
  readonly min?: number;
  readonly max?: number;
}

/** Highest end of memory in bytes: the 52 bits of a physical address on x86-64. */
const PHYS_END = 2 ** 52;

export class Memblock {
  #memory: readonly MemblockRegion[] = [];
  #reserved: readonly MemblockRegion[] = [];

  /** All memory, ascending. Adjacent ranges of one node and one `hotpluggable` are one region. */
  get memory(): readonly MemblockRegion[] {
    return this.#memory;
  }

  /** Reserved ranges, ascending, which may lie outside of memory. */
  get reserved(): readonly MemblockRegion[] {
    return this.#reserved;
  }

  /**
   * Adds memory. Bytes of the range that are memory already keep their node.
   *
   * @param size bytes
   * @throws KernelError EINVAL for an empty range or one that leaves the physical address space
   * @see memblock_add_node() in mm/memblock.c
   */
  add(base: PhysAddr, size: number, node: NodeId, hotpluggable = false): void {
    this.#memory = withRange(this.#memory, { ...checkedRange(base, size), node, hotpluggable });
  }

  /**
   * Removes memory, as for a `mem=` option.
   *
   * @param size bytes
   * @throws KernelError EINVAL as add()
   * @see memblock_remove()
   */
  remove(base: PhysAddr, size: number): void {
    const { end } = checkedRange(base, size);
    this.#memory = withoutRange(this.#memory, base, end);
  }

  /** Reserves a range. @param size bytes @throws KernelError EINVAL as add() @see memblock_reserve() */
  reserve(base: PhysAddr, size: number): void {
    const range = { ...checkedRange(base, size), node: undefined, hotpluggable: false };
    this.#reserved = withRange(this.#reserved, range);
  }

  /** Frees a reserved range. @param size bytes @throws KernelError EINVAL as add() @see memblock_phys_free() */
  free(base: PhysAddr, size: number): void {
    const { end } = checkedRange(base, size);
    this.#reserved = withoutRange(this.#reserved, base, end);
  }

  /**
   * Reserves the highest free range of a size.
   *
   * @param size bytes
   * @param align a power of two, in bytes
   * @param node undefined for any
   * @returns the physical address of its first byte
   * @throws KernelError ENOMEM when no free range is large enough, EINVAL for an alignment that isn't a power of two
   * @see memblock_find_in_range_node(), which __memblock_find_range_top_down() serves
   */
  allocTopDown(size: number, align: number, node: NodeId | undefined, limits: MemblockLimits = {}): PhysAddr {
    if (size <= 0 || align <= 0 || 2 ** Math.round(Math.log2(align)) !== align) {
      throw new KernelError(
        "EINVAL",
        `${size} bytes aligned to ${align} can't be allocated: write a size above 0 and a power of two`,
      );
    }
    for (const range of this.freeRanges(node, limits).toReversed()) {
      const base = alignDown(range.end - size, align) as PhysAddr;
      if (base < range.base) continue;
      this.reserve(base, size);
      return base;
    }
    const owner = node === undefined ? "the machine" : `node ${node}`;
    throw new KernelError("ENOMEM", `${owner} has no ${size} free bytes aligned to ${align} left at boot`);
  }

  /** Memory that isn't reserved, ascending. @see for_each_free_mem_range() */
  freeRanges(node?: NodeId, { min = 0, max = PHYS_END }: MemblockLimits = {}): MemblockRegion[] {
    const free: MemblockRegion[] = [];
    let next = 0;
    for (const region of this.#memory) {
      if (node !== undefined && region.node !== node) continue;
      let base = Math.max(region.base, min);
      const end = Math.min(region.end, max);
      while (next < this.#reserved.length && (this.#reserved[next] as MemblockRegion).end <= base) next++;
      for (let i = next; i < this.#reserved.length && base < end; i++) {
        const taken = this.#reserved[i] as MemblockRegion;
        if (taken.base >= end) break;
        if (taken.base > base) free.push({ ...region, base: base as PhysAddr, end: taken.base });
        base = Math.max(base, taken.end);
      }
      if (base < end) free.push({ ...region, base: base as PhysAddr, end: end as PhysAddr });
    }
    return free;
  }

  /** The whole frames of memory, ascending: a region's first byte is rounded up, its end down. @see for_each_mem_pfn_range() */
  pfnRanges(node?: NodeId): PfnRange[] {
    return wholeFrames(this.#memory, node);
  }

  /** The whole frames of memory that isn't reserved, ascending. @see memblock_free_all() */
  freePfnRanges(node?: NodeId, limits?: MemblockLimits): PfnRange[] {
    return wholeFrames(this.freeRanges(node, limits), node);
  }

  /** Bytes of memory. @see memblock_phys_mem_size() */
  get memorySize(): number {
    return sizeOf(this.#memory);
  }

  /** Bytes in reserved ranges. @see memblock_reserved_size() */
  get reservedSize(): number {
    return sizeOf(this.#reserved);
  }
}

function checkedRange(base: PhysAddr, size: number): { base: PhysAddr; end: PhysAddr } {
  if (!(size > 0) || base < 0 || base + size > PHYS_END) {
    throw new KernelError(
      "EINVAL",
      `bytes 0x${base.toString(16)}+0x${size.toString(16)} are not a range of physical memory`,
    );
  }
  return { base, end: (base + size) as PhysAddr };
}

/**
 * The list with the gaps within `range` filled, and adjacent regions of the same kind merged.
 *
 * @see memblock_add_range()
 */
function withRange(regions: readonly MemblockRegion[], range: MemblockRegion): MemblockRegion[] {
  const gaps: MemblockRegion[] = [];
  let { base } = range;
  for (const region of regions) {
    if (region.end <= base) continue;
    if (region.base >= range.end) break;
    if (region.base > base) gaps.push({ ...range, base, end: region.base });
    base = region.end;
  }
  if (base < range.end) gaps.push({ ...range, base });
  return merged([...regions, ...gaps].sort((a, b) => a.base - b.base));
}

/** The list with a range cut out. @see memblock_remove_range() */
function withoutRange(regions: readonly MemblockRegion[], base: PhysAddr, end: PhysAddr): MemblockRegion[] {
  return regions.flatMap((region) => {
    if (region.end <= base || region.base >= end) return [region];
    const left = region.base < base ? [{ ...region, end: base }] : [];
    const right = region.end > end ? [{ ...region, base: end }] : [];
    return [...left, ...right];
  });
}

/** @see memblock_merge_regions() */
function merged(regions: readonly MemblockRegion[]): MemblockRegion[] {
  const result: MemblockRegion[] = [];
  for (const region of regions) {
    const last = result.at(-1);
    bugOn(
      last !== undefined && last.end > region.base,
      `memblock regions overlap at 0x${region.base.toString(16)}`,
    );
    const alike =
      last?.end === region.base && last.node === region.node && last.hotpluggable === region.hotpluggable;
    if (last && alike) result[result.length - 1] = { ...last, end: region.end };
    else result.push(region);
  }
  return result;
}

function wholeFrames(regions: readonly MemblockRegion[], node: NodeId | undefined): PfnRange[] {
  return regions.flatMap((region) => {
    if (region.node === undefined || (node !== undefined && region.node !== node)) return [];
    const start = Math.ceil(region.base / PAGE_SIZE) as Pfn;
    const end = Math.floor(region.end / PAGE_SIZE) as Pfn;
    return start < end ? [{ start, end, node: region.node }] : [];
  });
}

function sizeOf(regions: readonly MemblockRegion[]): number {
  return regions.reduce((sum, { base, end }) => sum + end - base, 0);
}
