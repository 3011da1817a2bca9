// The memory of struct pages of hotplugged memory: 64 bytes for each page, as in the kernel, allocated as huge pages
// on the node, or from an altmap. Kernel counterpart: mm/sparse-vmemmap.c.
import { KernelError, type NodeId, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { NULL_PAGE, PAGES_PER_SUBSECTION, STRUCT_PAGE_BYTES } from "@hetmem/page";
import type { Altmap } from "./altmap.ts";
import { Gfp, GFP_KERNEL } from "./gfp.ts";
import type { PageAllocator } from "./page-alloc.ts";
import { PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER } from "./zone-type.ts";

/** Frames that the struct pages of a number of pages fill. */
export function vmemmapPages(pages: number): number {
  return Math.ceil((pages * STRUCT_PAGE_BYTES) / PAGE_SIZE);
}

/**
 * Compound pages of a device whose tail pages share struct pages.
 *
 * @see pgmap_vmemmap_nr() in include/linux/memremap.h
 */
export interface SharedTails {
  /** First frame of the mapping; compound pages are aligned relative to this frame. */
  readonly first: Pfn;
  /** Frames in a compound page. */
  readonly pages: number;
}

/**
 * Frames that the struct pages of a part of a section fill when tail pages share struct pages: at most two for each
 * compound page, the first for the head and the second mapped for all others. A compound page that is larger than a
 * section has them in its first section.
 *
 * @see vmemmap_populate_compound_pages() in mm/sparse-vmemmap.c
 */
export function sharedVmemmapPages(start: Pfn, pages: number, tails: SharedTails): number {
  if (tails.pages > PAGES_PER_SUBSECTION && (start - tails.first) % tails.pages !== 0) return 0;
  const compound = Math.min(pages, tails.pages);
  return Math.ceil(pages / compound) * Math.min(vmemmapPages(compound), 2);
}

interface Backing {
  readonly altmap: Altmap | undefined;
  readonly frames: number;
  readonly blocks: Blocks;
}

/** Allocated blocks that hold struct pages, by size. */
interface Blocks {
  readonly huge: readonly Page[];
  readonly single: readonly Page[];
}

const NO_BLOCKS: Blocks = { huge: [], single: [] };

/** The memory in which struct pages of a range are allocated. */
export interface VmemmapParams {
  /** Allocator within the range itself, for its own struct pages; undefined for ordinary memory near the node. */
  readonly altmap: Altmap | undefined;
  readonly tails?: SharedTails | undefined;
}

export class Vmemmap {
  readonly #allocator: PageAllocator;
  /** The key is the first frame that the struct pages describe. */
  readonly #backing = new Map<Pfn, Backing>();

  constructor(allocator: PageAllocator) {
    this.#allocator = allocator;
  }

  /**
   * Allocates memory for the struct pages of a range within one section.
   *
   * @param tails undefined when every page has a struct page of its own; ignored with an altmap
   * @throws KernelError ENOMEM when the altmap, or without one every zone, has too little free memory
   * @see vmemmap_populate()
   */
  populate(start: Pfn, pages: number, node: NodeId, { altmap, tails }: VmemmapParams): void {
    const frames = tails && !altmap ? sharedVmemmapPages(start, pages, tails) : vmemmapPages(pages);
    if (altmap) {
      altmap.allocBlock(frames);
      this.#backing.set(start, { altmap, frames, blocks: NO_BLOCKS });
      return;
    }
    this.#backing.set(start, { altmap, frames, blocks: this.#allocBlocks(frames, node) });
  }

  /** @see vmemmap_free() */
  depopulate(start: Pfn): void {
    const backing = this.#backing.get(start);
    if (!backing) return;
    this.#backing.delete(start);
    backing.altmap?.freeBlock(backing.frames);
    this.#freeBlocks(backing.blocks);
  }

  /** Frames of ordinary memory that hold struct pages of added memory. */
  get framesInUse(): number {
    let frames = 0;
    for (const { altmap, frames: count } of this.#backing.values()) if (!altmap) frames += count;
    return frames;
  }

  /**
   * Frames that hold struct pages of hotplugged memory, by node. Frames of an altmap aren't counted.
   *
   * @param start first frame of the memory that the struct pages describe; `end` is the first behind it
   */
  framesByNode(start: Pfn, end: Pfn): Map<NodeId, number> {
    const frames = new Map<NodeId, number>();
    for (const [described, { blocks }] of this.#backing) {
      if (described < start || described >= end) continue;
      for (const [page, count] of framesOf(blocks)) {
        const node = this.#allocator.memmap.nodeOf(page);
        frames.set(node, (frames.get(node) ?? 0) + count);
      }
    }
    return frames;
  }

  /** Allocates huge pages while there are any, then single pages. */
  #allocBlocks(frames: number, node: NodeId): Blocks {
    const blocks = { huge: [] as Page[], single: [] as Page[] };
    for (let left = frames; left > 0;) {
      const huge = left >= PAGEBLOCK_NR_PAGES ? this.#alloc(PAGEBLOCK_ORDER, node) : NULL_PAGE;
      const page = huge === NULL_PAGE ? this.#alloc(0, node) : huge;
      if (page === NULL_PAGE) {
        this.#freeBlocks(blocks);
        throw new KernelError(
          "ENOMEM",
          `no ${left} free pages near node ${node} for the struct pages of the new memory`,
        );
      }
      (huge === NULL_PAGE ? blocks.single : blocks.huge).push(page as Page);
      left -= huge === NULL_PAGE ? 1 : PAGEBLOCK_NR_PAGES;
    }
    return blocks;
  }

  #alloc(order: number, node: NodeId): Page {
    return this.#allocator.allocPages(GFP_KERNEL | Gfp.RETRY_MAYFAIL | Gfp.NOWARN, order, node);
  }

  #freeBlocks({ huge, single }: Blocks): void {
    for (const page of huge) this.#allocator.freePages(page, PAGEBLOCK_ORDER);
    for (const page of single) this.#allocator.freePages(page, 0);
  }
}

function* framesOf({ huge, single }: Blocks): Generator<readonly [page: Page, frames: number], void, void> {
  for (const page of huge) yield [page, PAGEBLOCK_NR_PAGES];
  for (const page of single) yield [page, 1];
}
