// Isolates a range of pageblocks: the allocator no longer allocates from it, so that its pages can be freed or moved
// and stay free. Either the whole range is isolated or none of it. Kernel counterpart: mm/page_isolation.c.
import { KernelError, type Page, type Pfn } from "@hetmem/kernel";
import { describePage, dumpPage, NULL_PAGE, PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import type { Memory } from "./memory.ts";
import { addTo } from "./page-alloc.ts";
import { ZoneStat } from "./vmstat.ts";
import type { Zone } from "./zone.ts";
import { MAX_ORDER, MigrateType, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, ZoneType } from "./zone-type.ts";

/** Port: whether a page in use can be migrated. */
export type IsMovable = (page: Page) => boolean;

/**
 * Isolates frames [start, end). Both are aligned to pageblocks, and the range lies in one zone.
 *
 * @throws KernelError EBUSY, with nothing isolated, for a page that can't be moved or a pageblock that is isolated
 * already. The message names it.
 * @see start_isolate_page_range()
 */
export function startIsolatePageRange(
  memory: Memory,
  zone: Zone,
  start: Pfn,
  end: Pfn,
  isMovable: IsMovable,
): void {
  for (let frame = start; frame < end; frame = (frame + PAGES_PER_SECTION) as Pfn)
    zone.deferred.touch(zone, frame);
  for (let frame = start; frame < end; frame = (frame + PAGEBLOCK_NR_PAGES) as Pfn) {
    try {
      isolatePageblock(memory, zone, frame, isMovable);
    } catch (error) {
      undoIsolatePageRange(memory, zone, start, frame, MigrateType.Movable);
      throw error;
    }
  }
}

/**
 * Sets isolated pageblocks to a migrate type and moves their free pages to the tail of its lists.
 *
 * @see undo_isolate_page_range()
 */
export function undoIsolatePageRange(
  memory: Memory,
  zone: Zone,
  start: Pfn,
  end: Pfn,
  type: MigrateType,
): void {
  const { memmap, allocator } = memory;
  for (let frame = start; frame < end; frame = (frame + PAGEBLOCK_NR_PAGES) as Pfn) {
    const page = memmap.pfnToPage(frame);
    if (allocator.pageblocks.get(page) !== MigrateType.Isolate) continue;
    allocator.pageblocks.set(page, type);
    zone.isolatedPageblocks--;
    const order = memmap.freeBlockOrder(page, zone.type);
    if (order >= PAGEBLOCK_ORDER && order < MAX_ORDER - 1) {
      // The block couldn't merge with its buddy while only one of the two was isolated: freeing it again merges them.
      zone.free.takeBlock(page, order);
      allocator.freeToBuddy(zone, page, order, type, true);
    } else {
      addTo(zone, ZoneStat.nr_free_pages, zone.free.moveFreePages(page, type));
    }
  }
}

/**
 * The first page of an isolated range that isn't free, or NULL_PAGE. HWPoison and PageOffline pages without users are
 * passed over.
 *
 * @param counts the pages to look for; others are passed over
 * @see test_pages_isolated()
 */
export function firstBusyPage(
  memory: Memory,
  zone: Zone,
  start: Pfn,
  end: Pfn,
  counts: (page: Page) => boolean = () => true,
): Page {
  const { memmap } = memory;
  for (let frame = start; frame < end;) {
    const page = memmap.pfnToPage(frame);
    const order = memmap.freeBlockOrder(page, zone.type);
    if (order >= 0) frame = (frame + (1 << order)) as Pfn;
    else if (isPoisonedAndCutOff(memory, page) || isOfflineAndUnused(memory, page) || !counts(page))
      frame = (frame + 1) as Pfn;
    else return page;
  }
  return NULL_PAGE as Page;
}

/** @see set_migratetype_isolate() */
function isolatePageblock(memory: Memory, zone: Zone, frame: Pfn, isMovable: IsMovable): void {
  const { memmap, allocator } = memory;
  const page = memmap.pfnToPage(frame);
  if (allocator.pageblocks.get(page) === MigrateType.Isolate) {
    throw new KernelError(
      "EBUSY",
      `pageblock 0x${frame.toString(16)} is being isolated by somebody else: try again`,
    );
  }
  const unmovable = firstUnmovablePage(memory, zone, page, isMovable);
  if (unmovable !== NULL_PAGE) {
    dumpPage(memory.kernel.log, memmap, unmovable, "unmovable page");
    throw new KernelError(
      "EBUSY",
      `${describePage(memmap, unmovable)} can't be moved: ${whyUnmovable(memory, unmovable)}`,
    );
  }
  allocator.pageblocks.set(page, MigrateType.Isolate);
  zone.isolatedPageblocks++;
  addTo(zone, ZoneStat.nr_free_pages, -zone.free.moveFreePages(page, MigrateType.Isolate));
}

/** @see has_unmovable_pages() */
function firstUnmovablePage(memory: Memory, zone: Zone, pageblock: Page, isMovable: IsMovable): Page {
  const { memmap } = memory;
  const end = pageblock + PAGEBLOCK_NR_PAGES;
  for (let page = pageblock as number; page < end;) {
    const candidate = page as Page;
    if (memmap.test(candidate, PageFlag.reserved)) return candidate;
    const order = memmap.freeBlockOrder(candidate, zone.type);
    if (order >= 0) page += 1 << order;
    else if (zone.type === ZoneType.Movable || isUnused(memory, candidate)) page++;
    else if (memmap.test(candidate, PageFlag.hwpoison | PageFlag.offline)) page++;
    else if (isMovable(memmap.compoundHead(candidate))) page++;
    else return candidate;
  }
  return NULL_PAGE as Page;
}

/** Whether a page has no references and isn't a free huge page of the hugetlb pool. */
export function isUnused({ memmap }: Memory, page: Page): boolean {
  return memmap.refcount(page) === 0 && !memmap.test(page, PageFlag.head);
}

function whyUnmovable({ memmap }: Memory, page: Page): string {
  if (memmap.test(page, PageFlag.reserved))
    return "it is reserved since boot, by firmware, the kernel's image or struct pages";
  if (memmap.test(page, PageFlag.slab)) return "the kernel keeps objects in it";
  if (memmap.test(page, PageFlag.table)) return "it is a page table";
  if (memmap.compoundOrder(page) === PAGEBLOCK_ORDER)
    return "it is a huge page in use that stays where it is, as those of the hugetlb pool do: free it first";
  return "the kernel uses it, and nobody can tell all its users";
}

/** Whether memory failure is done with a HWPoison page: until it has unmapped the page, the page is on an LRU list. */
function isPoisonedAndCutOff({ memmap }: Memory, page: Page): boolean {
  return memmap.test(page, PageFlag.hwpoison) && !memmap.test(page, PageFlag.lru);
}

function isOfflineAndUnused({ memmap }: Memory, page: Page): boolean {
  return memmap.test(page, PageFlag.offline) && memmap.refcount(page) === 0;
}
