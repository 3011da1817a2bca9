// The buddy allocator of one zone: free blocks of 2^order pages, listed by order and migrate type. A block that is
// freed merges with its buddy; a request takes the smallest block that fits and gives the rest back. Memory that
// nobody has touched isn't listed at all: the zone keeps the sections it has not grown into, which count as free
// blocks of the largest order at the end of the list. Kernel counterpart: mm/page_alloc.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { type ListId, type MemMap, NULL_PAGE, PageFlag } from "@hetmem/page";
import type { Pageblocks } from "./pageblock.ts";
import {
  MAX_ORDER,
  MAX_ORDER_NR_PAGES,
  MIGRATE_PCPTYPES,
  MIGRATE_TYPES,
  MigrateType,
  PAGEBLOCK_NR_PAGES,
  PAGEBLOCK_ORDER,
  type ZoneType,
} from "./zone-type.ts";

/** As MIGRATE_TYPES; a binding of another module is read at each use, a local one is not. */
const TYPES: number = MIGRATE_TYPES;
const LARGEST: number = MAX_ORDER - 1;
const PAGEBLOCK: number = PAGEBLOCK_ORDER;

/** Where each type looks when its own blocks are gone. @see fallbacks[] in mm/page_alloc.c */
const FALLBACKS: readonly (readonly MigrateType[])[] = [
  [MigrateType.Reclaimable, MigrateType.Movable],
  [MigrateType.Reclaimable, MigrateType.Unmovable],
  [MigrateType.Unmovable, MigrateType.Movable],
];

/** Lists a whole section of untouched memory, and says whether there was one. */
export type GrowZone = () => boolean;

export class FreeArea {
  /** Pages on the lists of one type, untouched memory not among them. */
  pagesOfType: Float64Array = new Float64Array(MIGRATE_TYPES);
  private readonly memmap: MemMap;
  private readonly pageblocks: Pageblocks;
  private readonly zone: ZoneType;
  private readonly growZone: GrowZone;
  /** The list of order 0 and the first type; the others follow by order * MIGRATE_TYPES + type. */
  readonly firstList: number;

  constructor(memmap: MemMap, pageblocks: Pageblocks, zone: ZoneType, grow: GrowZone) {
    this.memmap = memmap;
    this.pageblocks = pageblocks;
    this.zone = zone;
    this.growZone = grow;
    this.firstList = memmap.lists.create();
    for (let i = 1; i < MAX_ORDER * MIGRATE_TYPES; i++) memmap.lists.create();
  }

  /** Listed blocks of one order and type. */
  blocks(order: number, type: MigrateType): number {
    return this.memmap.lists.count(this.listOf(order, type));
  }

  /** First pages of those blocks, in list order. */
  blockPages(order: number, type: MigrateType): Iterable<Page> {
    return this.memmap.lists.pages(this.listOf(order, type));
  }

  /**
   * Puts a block on the free lists, merged with every free buddy. The pages have no references.
   *
   * @param toTail to be used last: freshly onlined memory, and what came back from isolation
   * @see __free_one_page()
   */
  free(page: Page, order: number, type: MigrateType, toTail: boolean): void {
    const { memmap, zone, pagesOfType } = this;
    pagesOfType[type] = (pagesOfType[type] as number) + (1 << order);
    let block = page | 0;
    let level = order | 0;
    while (level < LARGEST) {
      const buddy = (block ^ (1 << level)) as Page;
      if (!memmap.isFreeBlock(buddy, zone, level)) break;
      if (level >= PAGEBLOCK && !this.mayMerge(type, block as Page, buddy)) break;
      this.unlist(buddy, level, type);
      block &= ~(1 << level);
      level++;
    }
    this.enlist(block as Page, level, type, toTail || this.mergeLikely(block, level));
  }

  /**
   * Takes a block of 2^order pages, NULL_PAGE when there is none. Pages come off with no flags of the allocator and no
   * references.
   *
   * @see __rmqueue()
   */
  take(order: number, type: MigrateType): Page {
    const page = this.takeSmallest(order, type);
    if (page !== NULL_PAGE) return page;
    if (this.growToLargest() && type === MigrateType.Movable) {
      const grown = this.takeSmallest(order, type);
      if (grown !== NULL_PAGE) return grown;
    }
    return this.steal(order, type) ? this.takeSmallest(order, type) : (NULL_PAGE as Page);
  }

  /** Takes one given free block off its list: what isolation and memory failure do. */
  takeBlock(block: Page, order: number): void {
    if (!this.memmap.isFreeBlock(block, this.zone, order))
      throw new KernelBug(`page ${block} is not a free block of order ${order}`);
    const type = this.memmap.freeBlockType(block) as MigrateType;
    this.unlist(block, order, type);
    this.count(type, -(1 << order));
  }

  /**
   * Moves the free pages of one pageblock to the lists of another type, and returns how many these are.
   *
   * @see move_freepages_block()
   */
  moveFreePages(pageblock: Page, to: MigrateType): number {
    let moved = 0;
    const start = pageblock & ~(PAGEBLOCK_NR_PAGES - 1);
    // The second half of a block of the largest order went with the first.
    const largest = (start & ~(MAX_ORDER_NR_PAGES - 1)) as Page;
    if (start !== largest && this.memmap.isFreeBlock(largest, this.zone, LARGEST)) return 0;
    for (let page = start; page < start + PAGEBLOCK_NR_PAGES;) {
      const order = this.memmap.freeBlockOrder(page as Page, this.zone);
      if (order < 0) {
        page++;
        continue;
      }
      this.relist(page as Page, order, to, true);
      moved += 1 << order;
      page += 1 << order;
    }
    return moved;
  }

  /** Lists untouched sections until one brings a block of the largest order; those at the end of a node may have none. */
  private growToLargest(): boolean {
    let grown = false;
    while (this.blocks(MAX_ORDER - 1, MigrateType.Movable) === 0 && this.growZone()) grown = true;
    return grown;
  }

  /**
   * The order at which one block holds just the pages that smaller requests in turn would be given: that of the smallest
   * block on the lists, but not above `most`.
   */
  orderAtOnce(order: number, most: number, type: MigrateType): number {
    for (let level = order; level < most; level++) if (this.blocks(level, type) > 0) return level;
    for (let level = most; level <= LARGEST; level++) if (this.blocks(level, type) > 0) return most;
    return order;
  }

  private takeSmallest(order: number, type: MigrateType): Page {
    const { lists } = this.memmap;
    let list = this.listOf(order, type);
    for (let level = order | 0; level <= LARGEST; level++, list = (list + TYPES) as ListId) {
      const page = lists.shiftFreeBlock(list);
      if (page === NULL_PAGE) continue;
      this.count(type, -(1 << order));
      // The upper halves go back until 2^order pages are left. @see expand()
      for (let half = (level - 1) | 0; half >= order; half--) {
        list = (list - TYPES) as ListId;
        lists.addOnlyFreeBlock(list, (page + (1 << half)) as Page, half, type);
      }
      return page;
    }
    return NULL_PAGE as Page;
  }

  /** Makes blocks of another type ours: the largest, as that leaves the fewest types mixed. @see __rmqueue_fallback() */
  private steal(order: number, type: MigrateType): boolean {
    for (let level = LARGEST; level >= order; level--) {
      const block = this.fallbackBlock(level, type);
      if (block === NULL_PAGE) continue;
      if (mayTakePageblock(level, type)) this.stealBlock(block, level, type);
      else this.stealSmallest(order, type);
      return true;
    }
    return false;
  }

  /** @see find_suitable_fallback() */
  private fallbackBlock(order: number, type: MigrateType): Page {
    for (const from of FALLBACKS[type] ?? []) {
      const block = this.memmap.lists.first(this.listOf(order, from));
      if (block !== NULL_PAGE) return block;
    }
    return NULL_PAGE as Page;
  }

  /** Movable pages that lie among others do no lasting harm: they get the smallest block that is large enough. */
  private stealSmallest(order: number, type: MigrateType): void {
    for (let level = order; level <= LARGEST; level++) {
      const block = this.fallbackBlock(level, type);
      if (block !== NULL_PAGE) return this.relist(block, level, type, false);
    }
  }

  /** Takes all that is free in the pageblock. @see steal_suitable_fallback() */
  private stealBlock(block: Page, order: number, type: MigrateType): void {
    if (order >= PAGEBLOCK_ORDER) {
      this.relist(block, order, type, false);
      this.pageblocks.setRange(block, 1 << order, type);
      return;
    }
    const from = this.pageblocks.get(block);
    const moved = this.moveFreePages(block, type);
    // A pageblock that is mostly ours by now changes sides, so that what is freed in it comes to us too.
    if (moved + this.alikePages(block, moved, from, type) >= PAGEBLOCK_NR_PAGES / 2)
      this.pageblocks.set(block, type);
  }

  /** Pages in use that suit the new type. Unmovable and reclaimable ones can't be told apart. */
  private alikePages(pageblock: Page, free: number, from: MigrateType, to: MigrateType): number {
    if (to !== MigrateType.Movable && from !== MigrateType.Movable) return 0;
    const start = pageblock & ~(PAGEBLOCK_NR_PAGES - 1);
    let movable = 0;
    for (let page = start as Page; page < start + PAGEBLOCK_NR_PAGES; page++) {
      if (this.memmap.initialised(page) && this.memmap.test(page, PageFlag.lru)) movable++;
    }
    return to === MigrateType.Movable ? movable : PAGEBLOCK_NR_PAGES - free - movable;
  }

  private enlist(block: Page, order: number, type: MigrateType, toTail: boolean): void {
    this.memmap.lists.addFreeBlock(this.listOf(order, type), block, order, type, toTail);
  }

  /** Takes a block off its list; its pages go on being counted, as pages of the given type. */
  private unlist(block: Page, order: number, as: MigrateType): void {
    const type = this.memmap.freeBlockType(block) as MigrateType;
    this.memmap.lists.removeFreeBlock(this.listOf(order, type), block);
    if (type !== as) this.recount(type, as, 1 << order);
  }

  private relist(block: Page, order: number, to: MigrateType, toTail: boolean): void {
    this.unlist(block, order, to);
    this.enlist(block, order, to, toTail);
  }

  private count(type: MigrateType, pages: number): void {
    this.pagesOfType[type] = (this.pagesOfType[type] as number) + pages;
  }

  private recount(from: MigrateType, to: MigrateType, pages: number): void {
    this.count(from, -pages);
    this.count(to, pages);
  }

  /** Whether the next larger buddy is free: then this block will soon merge, and is better left alone. @see buddy_merge_likely() */
  private mergeLikely(block: number, order: number): boolean {
    if (order >= LARGEST - 1) return false;
    const parent = block & ~(1 << order);
    return this.memmap.isFreeBlock((parent ^ (1 << (order + 1))) as Page, this.zone, order + 1);
  }

  private listOf(order: number, type: MigrateType): ListId {
    return (this.firstList + order * TYPES + type) as ListId;
  }

  /**
   * Whether two pageblocks may become one block. An isolated one must not merge with one that isn't: the allocator
   * would hand out its pages. Nor do blocks of two nodes.
   *
   * @see migratetype_is_mergeable()
   */
  private mayMerge(type: MigrateType, block: Page, buddy: Page): boolean {
    if (this.memmap.nodeOf(block) !== this.memmap.nodeOf(buddy)) return false;
    const other = this.pageblocks.get(buddy);
    return type === other || (type < MIGRATE_PCPTYPES && other < MIGRATE_PCPTYPES);
  }
}

/** Whether a request may empty the pageblock of a block of another type. @see can_steal_fallback() */
function mayTakePageblock(order: number, type: MigrateType): boolean {
  return order >= PAGEBLOCK_ORDER >> 1 || type !== MigrateType.Movable;
}
