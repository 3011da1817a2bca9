// The buddy allocator of one zone: free blocks of 2^order pages, listed by order and migrate type. A freed block
// merges with its buddy. A request takes the smallest block that is large enough and puts the rest back. Deferred
// sections (see deferred.ts) aren't listed; they count as free blocks of the largest order, and are used when no such
// block is left. Kernel counterpart: mm/page_alloc.c.
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

/** Local copies for the hot paths: an imported binding is read from its module at each use. */
const TYPES: number = MIGRATE_TYPES;
const LARGEST: number = MAX_ORDER - 1;
const PAGEBLOCK: number = PAGEBLOCK_ORDER;

/** The migrate types to steal from, by the requested type, in order. @see fallbacks[] in mm/page_alloc.c */
const FALLBACKS: readonly (readonly MigrateType[])[] = [
  [MigrateType.Reclaimable, MigrateType.Movable],
  [MigrateType.Reclaimable, MigrateType.Unmovable],
  [MigrateType.Unmovable, MigrateType.Movable],
];

/** Initialises the zone's next deferred section and lists its blocks. @returns whether there was one */
export type GrowZone = () => boolean;

export class FreeArea {
  /** Pages on the free lists, by migrate type. Deferred memory isn't counted. */
  pagesOfType: Float64Array = new Float64Array(MIGRATE_TYPES);
  private readonly memmap: MemMap;
  private readonly pageblocks: Pageblocks;
  private readonly zone: ZoneType;
  private readonly growZone: GrowZone;
  /** The list of order 0 and migrate type 0. The list of another is at firstList + order * MIGRATE_TYPES + type. */
  readonly firstList: number;

  constructor(memmap: MemMap, pageblocks: Pageblocks, zone: ZoneType, grow: GrowZone) {
    this.memmap = memmap;
    this.pageblocks = pageblocks;
    this.zone = zone;
    this.growZone = grow;
    this.firstList = memmap.lists.create();
    for (let i = 1; i < MAX_ORDER * MIGRATE_TYPES; i++) memmap.lists.create();
  }

  /** Number of listed blocks of an order and migrate type. */
  blocks(order: number, type: MigrateType): number {
    return this.memmap.lists.count(this.listOf(order, type));
  }

  /** First page of each listed block of an order and migrate type, in list order. */
  blockPages(order: number, type: MigrateType): Iterable<Page> {
    return this.memmap.lists.pages(this.listOf(order, type));
  }

  /**
   * Puts a block on the free lists, merged with every free buddy. The pages have no references.
   *
   * @param toTail whether the block goes to the tail, to be used last, as onlined and un-isolated memory does
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
   * Takes a block of 2^order pages, from deferred sections or other migrate types if need be. The pages have no
   * references and no flags of the allocator.
   *
   * @returns the first page, or NULL_PAGE when there is no such block
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

  /** Takes a given free block off its list, for isolation and memory failure. */
  takeBlock(block: Page, order: number): void {
    if (!this.memmap.isFreeBlock(block, this.zone, order))
      throw new KernelBug(`page ${block} is not a free block of order ${order}`);
    const type = this.memmap.freeBlockType(block) as MigrateType;
    this.unlist(block, order, type);
    this.count(type, -(1 << order));
  }

  /**
   * Moves the free pages of a pageblock to the lists of another type.
   *
   * @returns the number of pages moved
   *
   * @see move_freepages_block()
   */
  moveFreePages(pageblock: Page, to: MigrateType): number {
    let moved = 0;
    const start = pageblock & ~(PAGEBLOCK_NR_PAGES - 1);
    // A free block of the largest order has two pageblocks: its call for the first one moved the second too.
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

  /**
   * Initialises deferred sections until a block of the largest order is listed. A section at the end of a node may
   * have none.
   */
  private growToLargest(): boolean {
    let grown = false;
    while (this.blocks(MAX_ORDER - 1, MigrateType.Movable) === 0 && this.growZone()) grown = true;
    return grown;
  }

  /**
   * The order of one block that has the same pages as consecutive requests of `order` would get: that of the smallest
   * listed block, but at most `most`.
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
      // Puts back the upper halves until 2^order pages are left. @see expand()
      for (let half = (level - 1) | 0; half >= order; half--) {
        list = (list - TYPES) as ListId;
        lists.addOnlyFreeBlock(list, (page + (1 << half)) as Page, half, type);
      }
      return page;
    }
    return NULL_PAGE as Page;
  }

  /**
   * Moves a block of a fallback type to `type`, the largest one: that mixes the fewest pageblocks.
   *
   * @see __rmqueue_fallback()
   */
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

  /** Moves the smallest block that is large enough. Used for movable requests, whose pages can be moved out again. */
  private stealSmallest(order: number, type: MigrateType): void {
    for (let level = order; level <= LARGEST; level++) {
      const block = this.fallbackBlock(level, type);
      if (block !== NULL_PAGE) return this.relist(block, level, type, false);
    }
  }

  /** Moves all free pages of the pageblock to `type`. @see steal_suitable_fallback() */
  private stealBlock(block: Page, order: number, type: MigrateType): void {
    if (order >= PAGEBLOCK_ORDER) {
      this.relist(block, order, type, false);
      this.pageblocks.setRange(block, 1 << order, type);
      return;
    }
    const from = this.pageblocks.get(block);
    const moved = this.moveFreePages(block, type);
    // When at least half of the pageblock suits `type`, the pageblock changes type: pages freed in it later join
    // these lists.
    if (moved + this.alikePages(block, moved, from, type) >= PAGEBLOCK_NR_PAGES / 2)
      this.pageblocks.set(block, type);
  }

  /** Pages in use that suit type `to`. Unmovable and reclaimable pages can't be told apart: 0 between these two. */
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

  /** Takes a block off its list. Its pages stay in pagesOfType, counted as of type `as`. */
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

  /**
   * Whether the buddy of the next larger order is free: the block is likely to merge soon and goes to the tail.
   *
   * @see buddy_merge_likely()
   */
  private mergeLikely(block: number, order: number): boolean {
    if (order >= LARGEST - 1) return false;
    const parent = block & ~(1 << order);
    return this.memmap.isFreeBlock((parent ^ (1 << (order + 1))) as Page, this.zone, order + 1);
  }

  private listOf(order: number, type: MigrateType): ListId {
    return (this.firstList + order * TYPES + type) as ListId;
  }

  /**
   * Whether two free blocks in different pageblocks may merge. An isolated one must not merge with one that isn't
   * isolated: the allocator would allocate its pages. Blocks of two nodes don't merge either.
   *
   * @see migratetype_is_mergeable()
   */
  private mayMerge(type: MigrateType, block: Page, buddy: Page): boolean {
    if (this.memmap.nodeOf(block) !== this.memmap.nodeOf(buddy)) return false;
    const other = this.pageblocks.get(buddy);
    return type === other || (type < MIGRATE_PCPTYPES && other < MIGRATE_PCPTYPES);
  }
}

/** Whether a request may take all free pages of a fallback block's pageblock. @see can_steal_fallback() */
function mayTakePageblock(order: number, type: MigrateType): boolean {
  return order >= PAGEBLOCK_ORDER >> 1 || type !== MigrateType.Movable;
}
