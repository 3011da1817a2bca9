// Taking a range of pageblocks out of the allocator's reach, so that its pages can be freed or moved and stay free.
// Either the whole range is isolated or none of it. Kernel counterpart: mm/page_isolation.c.
import { KernelError, type Page, type Pfn } from "@hetmem/kernel";
import { describePage, dumpPage, NULL_PAGE, PageFlag, PAGES_PER_SECTION } from "@hetmem/page";
import type { Memory } from "./memory.ts";
import { addTo } from "./page-alloc.ts";
import { ZoneStat } from "./vmstat.ts";
import type { Zone } from "./zone.ts";
import { MAX_ORDER, MigrateType, PAGEBLOCK_NR_PAGES, PAGEBLOCK_ORDER, ZoneType } from "./zone-type.ts";

/** Port: says of a page in use whether its owner could move it. */
export type IsMovable = (page: Page) => boolean;

/**
 * Isolates [start, end), both on pageblocks and in one zone.
 *
 * @throws KernelError EBUSY that names the page which can't be moved; nothing stays isolated then
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

/** Gives isolated pageblocks back, their free pages to the tail of the lists. @see undo_isolate_page_range() */
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
      // It could not merge with its buddy while only one of them was isolated: freeing it anew lets it.
      zone.free.takeBlock(page, order);
      allocator.freeToBuddy(zone, page, order, type, true);
    } else {
      addTo(zone, ZoneStat.nr_free_pages, zone.free.moveFreePages(page, type));
    }
  }
}

/**
 * The first page of an isolated range that is not free, or NULL_PAGE. Poisoned pages count as gone.
 *
 * @param counts which of those pages are meant
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

/** Nobody holds it, and it isn't a huge page that waits in a pool. */
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

/** While its users are being cut off, a bad page still waits on an LRU list. */
function isPoisonedAndCutOff({ memmap }: Memory, page: Page): boolean {
  return memmap.test(page, PageFlag.hwpoison) && !memmap.test(page, PageFlag.lru);
}

function isOfflineAndUnused({ memmap }: Memory, page: Page): boolean {
  return memmap.test(page, PageFlag.offline) && memmap.refcount(page) === 0;
}
