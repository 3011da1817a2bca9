// Gives the pages of a range to the allocator, and takes them back. The caller holds mem_hotplug_lock for writing. An
// operation that fails leaves the range as it was. Kernel counterpart: online_pages() and offline_pages() in
// mm/memory_hotplug.c.
import {
  condResched,
  isAligned,
  KernelBug,
  KernelError,
  type Page,
  type Pfn,
  type Sleeps,
} from "@hetmem/kernel";
import { describePage, NULL_PAGE, PAGES_PER_SECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import { firstBusyPage, startIsolatePageRange, undoIsolatePageRange } from "./isolation.ts";
import type { MemoryGroup } from "./memory-group.ts";
import type { MemoryHotplug } from "./memory-hotplug.ts";
import type { MemoryNotify } from "./memory-notifier.ts";
import type { Memory } from "./memory.ts";
import { addTo } from "./page-alloc.ts";
import { ZoneStat } from "./vmstat.ts";
import { initPerZoneWmarkMin } from "./watermark.ts";
import type { Zone } from "./zone.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MigrateType, PAGEBLOCK_NR_PAGES, ZoneType } from "./zone-type.ts";
import { movePfnRangeToZone, removePfnRangeFromZone, sectionFrames, sectionPieces } from "./zone-span.ts";
import { buildAllZonelists } from "./zonelist.ts";

/**
 * Attempts to migrate pages in use before offlining fails. The kernel retries until a signal is pending; signals are
 * not modelled here.
 */
const MIGRATION_ATTEMPTS_MAX = 5;

/**
 * Adds a range to a zone and frees its pages to the allocator.
 *
 * @param pages number of frames
 * @throws KernelError the error of a notifier that refuses; the range is in no zone then
 */
export function* onlinePages(
  hotplug: MemoryHotplug,
  start: Pfn,
  pages: number,
  zone: Zone,
  group: MemoryGroup | undefined,
): Sleeps<void> {
  checkRange(hotplug, "online_pages", start, pages);
  const { memory } = hotplug;
  const end = (start + pages) as Pfn;
  const notify: MemoryNotify = { start, pages, ...nodeStatesOnline(memory, zone) };

  movePfnRangeToZone(memory, zone, start, pages, MigrateType.Isolate);
  try {
    yield* hotplug.notifiers.call("MEM_GOING_ONLINE", notify);
  } catch (error) {
    yield* hotplug.notifiers.call("MEM_CANCEL_ONLINE", notify);
    removePfnRangeFromZone(memory, zone, start, pages);
    throw error;
  }

  zone.isolatedPageblocks += pages / PAGEBLOCK_NR_PAGES;
  const wasPopulated = zone.populated;
  onlinePagesRange(memory, zone, start, pages);
  adjustPresentPageCount(memory, zone, start, group, pages);
  if (!wasPopulated) buildAllZonelists(memory);
  undoIsolatePageRange(memory, zone, start, end, MigrateType.Movable);
  initPerZoneWmarkMin(memory);
  yield* hotplug.notifiers.call("MEM_ONLINE", notify);
}

/**
 * Frees or migrates every page of a range, takes the pages off the free lists and removes the range from its zone.
 *
 * @param pages number of frames
 * @throws KernelError EINVAL for a range with holes, EBUSY for a page that can't be migrated, which the message
 * names; the range stays online then
 */
export function* offlinePages(
  hotplug: MemoryHotplug,
  start: Pfn,
  pages: number,
  zone: Zone,
  group: MemoryGroup | undefined,
): Sleeps<void> {
  checkRange(hotplug, "offline_pages", start, pages);
  const { memory } = hotplug;
  const end = (start + pages) as Pfn;
  if (hotplug.systemRamPages(start, pages) !== pages) {
    throw new KernelError(
      "EINVAL",
      `frames 0x${start.toString(16)}-0x${(end - 1).toString(16)} contain holes: such a range can't go offline`,
    );
  }
  const notify: MemoryNotify = { start, pages, ...nodeStatesOffline(memory, zone, pages) };

  zone.pcpDisabled++;
  memory.allocator.drainPcp(zone);
  try {
    startIsolatePageRange(memory, zone, start, end, (page) => hotplug.migration.isMovable(page));
    try {
      yield* hotplug.notifiers.call("MEM_GOING_OFFLINE", notify);
      yield* emptyRange(hotplug, zone, start, end);
    } catch (error) {
      undoIsolatePageRange(memory, zone, start, end, MigrateType.Movable);
      yield* hotplug.notifiers.call("MEM_CANCEL_OFFLINE", notify);
      throw error;
    }
    offlineIsolatedPages(memory, zone, start, end);
    zone.isolatedPageblocks -= pages / PAGEBLOCK_NR_PAGES;
  } finally {
    zone.pcpDisabled--;
  }

  zone.managedPages -= pages;
  adjustPresentPageCount(memory, zone, start, group, -pages);
  initPerZoneWmarkMin(memory);
  if (!zone.populated) buildAllZonelists(memory);
  yield* hotplug.notifiers.call("MEM_OFFLINE", notify);
  removePfnRangeFromZone(memory, zone, start, pages);
}

/** Adds `pages`, which may be negative, to the present pages of zone and group. @see adjust_present_page_count() */
export function adjustPresentPageCount(
  { memmap }: Memory,
  zone: Zone,
  start: Pfn,
  group: MemoryGroup | undefined,
  pages: number,
): void {
  if (memmap.sections.has(sectionOfPfn(start), SectionFlag.early)) zone.presentEarlyPages += pages;
  zone.presentPages += pages;
  if (group && zone.type === ZoneType.Movable) group.presentMovablePages += pages;
  else if (group) group.presentKernelPages += pages;
}

/**
 * Frees the pages in blocks as large as their alignment allows. Their pageblocks are isolated, so they can't be
 * allocated yet.
 *
 * @see online_pages_range()
 */
function onlinePagesRange(memory: Memory, zone: Zone, start: Pfn, pages: number): void {
  const { memmap, allocator } = memory;
  for (const [frame, count] of sectionFrames(start, pages)) {
    const section = sectionOfPfn(frame);
    memmap.sections.set(section, SectionFlag.online);
    if (memmap.isDeferred(section)) {
      onlineUntouched(memory, zone, section);
      continue;
    }
    const first = memmap.pfnToPage(frame);
    memmap.initRange(first, count, zone.type, 0, 0);
    for (let page = first as number; page < first + count;) {
      const order = page % MAX_ORDER_NR_PAGES === 0 ? MAX_ORDER - 1 : Math.log2(page & -page);
      allocator.freeToBuddy(zone, page as Page, order, MigrateType.Isolate, true);
      page += 1 << order;
    }
  }
  zone.managedPages += pages;
}

/** Onlines a whole section whose struct pages are deferred: it stays deferred, as free memory of the zone. */
function onlineUntouched({ memmap, allocator }: Memory, zone: Zone, section: number): void {
  allocator.pageblocks.setRange(memmap.undefer(section), PAGES_PER_SECTION, MigrateType.Movable);
  zone.isolatedPageblocks -= PAGES_PER_SECTION / PAGEBLOCK_NR_PAGES;
  zone.deferred.deferOnlined(section);
  addTo(zone, ZoneStat.nr_free_pages, PAGES_PER_SECTION);
}

/**
 * Migrates pages in use, then dissolves free huge pages of the hugetlb pool, until every page is free.
 *
 * @throws KernelError EBUSY for a page that isn't movable or is still in use after the last attempt
 */
function* emptyRange(hotplug: MemoryHotplug, zone: Zone, start: Pfn, end: Pfn): Sleeps<void> {
  const { memory, migration } = hotplug;
  // Ends: at the last attempt what is busy is EBUSY.
  for (let attempt = 0; ; attempt++) {
    yield condResched;
    const busy = firstPageLeft(hotplug, zone, start, end);
    if (busy === NULL_PAGE) return;
    if (attempt === MIGRATION_ATTEMPTS_MAX || !migration.isMovable(memory.memmap.compoundHead(busy))) {
      throw new KernelError(
        "EBUSY",
        `${describePage(memory.memmap, busy)} stays in use${migration.reason(busy)}`,
      );
    }
    yield* migration.migrateRange(start, end);
  }
}

/**
 * The first page with references. If there is none, dissolves free huge pages and returns the first page that isn't
 * free, or NULL_PAGE.
 */
function firstPageLeft({ memory, migration }: MemoryHotplug, zone: Zone, start: Pfn, end: Pfn): Page {
  const { memmap } = memory;
  const isHeld = (page: Page): boolean => memmap.refcount(memmap.compoundHead(page)) > 0;
  const held = firstBusyPage(memory, zone, start, end, isHeld);
  if (held !== NULL_PAGE) return held;
  migration.dissolveFreeHugePages(start, end);
  return firstBusyPage(memory, zone, start, end);
}

/** @see __offline_isolated_pages() */
function offlineIsolatedPages(memory: Memory, zone: Zone, start: Pfn, end: Pfn): void {
  const { memmap } = memory;
  for (let frame = start; frame < end;) {
    const page = memmap.pfnToPage(frame);
    const order = memmap.freeBlockOrder(page, zone.type);
    if (order >= 0) zone.free.takeBlock(page, order);
    frame = (frame + (order >= 0 ? 1 << order : 1)) as Pfn;
  }
  for (const [page] of sectionPieces(memory, start, end - start)) {
    memmap.sections.clear(sectionOfPfn(memmap.pageToPfn(page)), SectionFlag.online);
  }
}

/** Checks that a range is whole sections, except that struct pages may come before its start. */
function checkRange(hotplug: MemoryHotplug, by: string, start: Pfn, pages: number): void {
  if (!hotplug.locks.changing) throw new KernelBug(`${by} without mem_hotplug_begin()`);
  if (pages <= 0 || !isAligned(start, PAGEBLOCK_NR_PAGES) || !isAligned(start + pages, PAGES_PER_SECTION)) {
    throw new KernelBug(
      `${by} of frames 0x${start.toString(16)}+0x${pages.toString(16)}, which are not whole sections`,
    );
  }
}

/**
 * The node, if this is its first memory, in all zones and below ZONE_MOVABLE.
 *
 * @see node_states_check_changes_online()
 */
function nodeStatesOnline(
  memory: Memory,
  zone: Zone,
): Pick<MemoryNotify, "statusChangeNode" | "statusChangeNodeNormal"> {
  const node = memory.nodes[zone.node];
  const normal = node?.zones.slice(0, ZoneType.Movable).some((candidate) => candidate.populated) ?? false;
  return {
    statusChangeNode: (node?.presentPages ?? 0) === 0 ? zone.node : undefined,
    statusChangeNodeNormal: !normal && zone.type <= ZoneType.Normal ? zone.node : undefined,
  };
}

/**
 * The node, if this is its last memory, in all zones and below ZONE_MOVABLE.
 *
 * @see node_states_check_changes_offline()
 */
function nodeStatesOffline(
  memory: Memory,
  zone: Zone,
  pages: number,
): Pick<MemoryNotify, "statusChangeNode" | "statusChangeNodeNormal"> {
  const zones = memory.nodes[zone.node]?.zones ?? [];
  const normal = zones.slice(0, ZoneType.Movable).reduce((sum, candidate) => sum + candidate.presentPages, 0);
  const all = normal + (zones[ZoneType.Movable]?.presentPages ?? 0);
  return {
    statusChangeNode: pages >= all ? zone.node : undefined,
    statusChangeNodeNormal: zone.type <= ZoneType.Normal && pages >= normal ? zone.node : undefined,
  };
}
