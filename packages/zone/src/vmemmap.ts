// Where the struct pages of added memory are kept: 64 bytes a page as on the real machine, in huge pages of the node,
// or in an altmap. This is the price of memory that somebody adds. Kernel counterpart: mm/sparse-vmemmap.c.
import { KernelError, type NodeId, type Page, PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { NULL_PAGE, PAGES_PER_SUBSECTION, STRUCT_PAGE_BYTES } from "@hetmem/page";
import type { Altmap } from "./altmap.ts";
import { Gfp, GFP_KERNEL } from "./gfp.ts";
import type { PageAllocator } from "./page-alloc.ts";
import { PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER } from "./zone-type.ts";

/** Frames that the struct pages of so many pages fill. */
export function vmemmapPages(pages: number): number {
  return Math.ceil((pages * STRUCT_PAGE_BYTES) / PAGE_SIZE);
}

/**
 * Compound pages of a device whose struct pages share those of their tails.
 *
 * @see pgmap_vmemmap_nr() in include/linux/memremap.h
 */
export interface SharedTails {
  /** The first frame of the mapping: compound pages are counted from here. */
  readonly first: Pfn;
  /** Frames of a compound page. */
  readonly pages: number;
}

/**
 * Frames that the struct pages of a part of a section fill when compound pages share those of their tails: one for the
 * head, and one that stands for all others. A compound page that is larger than a section takes them in its first.
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

/** Blocks of the allocator. A device of a terabyte has a million of them. */
interface Blocks {
  readonly huge: readonly Page[];
  readonly single: readonly Page[];
}

const NO_BLOCKS: Blocks = { huge: [], single: [] };

/** Where the struct pages of a range go. */
export interface VmemmapParams {
  /** The device or the block itself, for its own struct pages; undefined: ordinary memory near the node. */
  readonly altmap: Altmap | undefined;
  readonly tails?: SharedTails | undefined;
}

export class Vmemmap {
  readonly #allocator: PageAllocator;
  /** By the first frame that the struct pages describe. */
  readonly #backing = new Map<Pfn, Backing>();

  constructor(allocator: PageAllocator) {
    this.#allocator = allocator;
  }

  /**
   * Finds room for the struct pages of a range, at most a section.
   *
   * @param tails undefined where every page has a struct page of its own; an altmap has room for them all
   * @throws KernelError ENOMEM when neither the altmap nor the node has it
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
   * Where the struct pages of added memory are kept, in frames by node; those in the memory itself don't count.
   *
   * @param start first frame that they describe, `end` the first behind
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

  /** Huge pages as long as there are any, then single ones. */
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
