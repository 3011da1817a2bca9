// Adds frame ranges to a zone and removes them, and updates the spans of zone and node. Kernel counterpart:
// move_pfn_range_to_zone() and remove_pfn_range_from_zone() in mm/memory_hotplug.c.
import { type Page, PAGE_SIZE, type Pfn, type PhysAddr, physToPfn } from "@hetmem/kernel";
import {
  NO_ZONE,
  PageFlag,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  type RamPages,
  SectionFlag,
  sectionOfPfn,
} from "@hetmem/page";
import type { Memory } from "./memory.ts";
import type { MemoryNode } from "./node.ts";
import type { Zone } from "./zone.ts";
import { type MigrateType, ZoneType } from "./zone-type.ts";

/** Zero references: a lockless page table walk that has read such a page fails to take a reference. */
const NOT_ONLINE: RamPages = { zone: NO_ZONE, state: PageFlag.reserved, references: 0 };

/**
 * Adds a range to a zone. Every page becomes reserved, with one reference, and the spans of zone and node grow.
 *
 * @param type migrate type of the range's pageblocks
 */
export function movePfnRangeToZone(
  memory: Memory,
  zone: Zone,
  start: Pfn,
  pages: number,
  type: MigrateType,
): void {
  resizeZoneRange(memory, zone, start, pages);
  const reserved: RamPages = { zone: zone.type, state: PageFlag.reserved, references: 1 };
  for (const [frame, count] of sectionFrames(start, pages)) {
    memory.allocator.pageblocks.setRange(memory.memmap.sections.pageAt(frame), count, type);
    writePages(memory, frame, count, reserved);
  }
}

/**
 * Grows the spans of a zone and its node by a range. Struct pages aren't written: memremap_pages() initialises those
 * of ZONE_DEVICE after it has released the hotplug locks.
 *
 * @see resize_zone_range() and resize_pgdat_range() in mm/memory_hotplug.c
 */
export function resizeZoneRange(memory: Memory, zone: Zone, start: Pfn, pages: number): void {
  extend(zone, start, pages);
  extend(memory.nodes[zone.node] as MemoryNode, start, pages);
}

/** Removes a range from its zone and shrinks the spans. None of its pages may be in use or on a free list. */
export function removePfnRangeFromZone(memory: Memory, zone: Zone, start: Pfn, pages: number): void {
  // The span of ZONE_DEVICE never shrinks: the search for its new ends looks at online sections, and it has none. Its
  // struct pages are freed right after this, so they aren't written.
  if (zone.type === ZoneType.Device) return;
  tieToNoZone(memory, start, pages);
  shrinkZoneSpan(memory, zone, start, (start + pages) as Pfn);
  updateNodeSpan(memory.nodes[zone.node] as MemoryNode);
}

/**
 * Writes the struct pages of memory that isn't online: reserved, without references, in no zone. HWPoison stays set.
 */
function tieToNoZone(memory: Memory, start: Pfn, pages: number): void {
  for (const [frame, count] of sectionFrames(start, pages)) {
    const poisoned = memory.memmap.isDeferred(sectionOfPfn(frame))
      ? []
      : hwpoisonedPages(memory, memory.memmap.pfnToPage(frame), count);
    writePages(memory, frame, count, NOT_ONLINE);
    for (const bad of poisoned) memory.memmap.set(bad, PageFlag.hwpoison);
  }
}

/**
 * tieToNoZone() for memory that was just added. The struct pages of a whole section are deferred: written at the
 * first use.
 */
export function initAdded(memory: Memory, start: Pfn, pages: number): void {
  if (pages === PAGES_PER_SECTION) memory.memmap.deferSection(sectionOfPfn(start), NOT_ONLINE);
  else tieToNoZone(memory, start, pages);
}

/**
 * Writes struct pages within one section. The struct pages of a whole section that is deferred stay deferred, with
 * the new contents.
 */
function writePages({ memmap }: Memory, start: Pfn, pages: number, fresh: RamPages): void {
  const section = sectionOfPfn(start);
  if (pages === PAGES_PER_SECTION && memmap.isDeferred(section)) return memmap.deferSection(section, fresh);
  memmap.initRange(memmap.pfnToPage(start), pages, fresh.zone, fresh.state, fresh.references);
  // Invariants walk sections marked initialised: those that have been in a zone, not those only added.
  if (fresh.zone !== NO_ZONE) memmap.sections.set(section, SectionFlag.initialised);
}

/**
 * Before struct pages are freed: clears their HWPoison flags and lowers num_poisoned_pages.
 *
 * @see clear_hwpoisoned_pages()
 */
export function clearHwpoisonedPages(memory: Memory, start: Pfn, pages: number): void {
  for (const [first, count] of touchedPieces(memory, start, pages)) {
    for (const page of hwpoisonedPages(memory, first, count)) {
      memory.memmap.clear(page, PageFlag.hwpoison);
      memory.counters.poisonedPages--;
    }
  }
}

function hwpoisonedPages({ counters, memmap }: Memory, first: Page, pages: number): Page[] {
  const poisoned: Page[] = [];
  for (let i = 0; i < pages && poisoned.length < counters.poisonedPages; i++) {
    const page = (first + i) as Page;
    if (memmap.initialised(page) && memmap.test(page, PageFlag.hwpoison)) poisoned.push(page);
  }
  return poisoned;
}

/**
 * Cuts a frame range at section borders. Each piece is its first page and its number of pages, which are consecutive.
 */
export function* sectionPieces(
  { memmap }: Memory,
  start: Pfn,
  pages: number,
): Generator<readonly [page: Page, pages: number], void, void> {
  for (const [frame, count] of sectionFrames(start, pages)) yield [memmap.pfnToPage(frame), count];
}

/** sectionPieces() without the untouched sections, whose pages are all idle. */
export function* touchedPieces(
  { memmap }: Memory,
  start: Pfn,
  pages: number,
): Generator<readonly [page: Page, pages: number], void, void> {
  for (const [frame, count] of sectionFrames(start, pages))
    if (!memmap.sections.isUntouched(sectionOfPfn(frame))) yield [memmap.pfnToPage(frame), count];
}

/** Cuts a byte range at section borders. Each piece is its first frame and its number of pages. */
export function sectionRanges(
  start: PhysAddr,
  size: number,
): Generator<readonly [frame: Pfn, pages: number], void, void> {
  return sectionFrames(physToPfn(start), size / PAGE_SIZE);
}

/** Cuts a frame range at section borders. Each piece is its first frame and its number of pages. */
export function* sectionFrames(
  start: Pfn,
  pages: number,
): Generator<readonly [frame: Pfn, pages: number], void, void> {
  const end = start + pages;
  for (let frame = start; frame < end;) {
    const next = Math.min(end, (sectionOfPfn(frame) + 1) * PAGES_PER_SECTION);
    yield [frame, next - frame];
    frame = next as Pfn;
  }
}

/** @see resize_zone_range() */
function extend(span: { startPfn: Pfn; spannedPages: number }, start: Pfn, pages: number): void {
  const oldEnd = span.spannedPages === 0 ? start : span.startPfn + span.spannedPages;
  if (span.spannedPages === 0 || start < span.startPfn) span.startPfn = start;
  span.spannedPages = Math.max(start + pages, oldEnd) - span.startPfn;
}

/** @see shrink_zone_span() */
function shrinkZoneSpan(memory: Memory, zone: Zone, start: Pfn, end: Pfn): void {
  const zoneEnd = zone.endPfn;
  if (zone.startPfn === start) {
    const first = firstFrameOf(memory, zone, end, zoneEnd);
    zone.spannedPages = first === undefined ? 0 : zoneEnd - first;
    zone.startPfn = first ?? (0 as Pfn);
  } else if (zoneEnd === end) {
    const last = lastFrameOf(memory, zone, zone.startPfn, start);
    zone.spannedPages = last === undefined ? 0 : last + 1 - zone.startPfn;
    if (last === undefined) zone.startPfn = 0 as Pfn;
  }
}

/** @see update_pgdat_span() */
function updateNodeSpan(node: MemoryNode): void {
  const zones = node.zones.filter((zone) => !zone.empty);
  const start = Math.min(...zones.map((zone) => zone.startPfn));
  const end = Math.max(...zones.map((zone) => zone.endPfn));
  node.startPfn = (zones.length > 0 ? start : 0) as Pfn;
  node.spannedPages = zones.length > 0 ? end - start : 0;
}

/** @see find_smallest_section_pfn() */
function firstFrameOf(memory: Memory, zone: Zone, start: Pfn, end: Pfn): Pfn | undefined {
  for (let frame = start; frame < end; frame = (frame + PAGES_PER_SUBSECTION) as Pfn) {
    if (belongsTo(memory, zone, frame)) return frame;
  }
  return undefined;
}

/** @see find_biggest_section_pfn() */
function lastFrameOf(memory: Memory, zone: Zone, start: Pfn, end: Pfn): Pfn | undefined {
  for (let frame = (end - 1) as Pfn; frame >= start; frame = (frame - PAGES_PER_SUBSECTION) as Pfn) {
    if (belongsTo(memory, zone, frame)) return frame;
  }
  return undefined;
}

/** Whether a frame is online in this zone. Deferred struct pages aren't initialised by the look-up. */
export function belongsTo({ memmap }: Memory, zone: Zone, frame: Pfn): boolean {
  if (!memmap.sections.has(sectionOfPfn(frame), SectionFlag.online) || !memmap.pfnValid(frame)) return false;
  if (memmap.sections.nodeOfPfn(frame) !== zone.node) return false;
  if (memmap.sections.isUntouched(sectionOfPfn(frame))) return zone.deferred.has(frame);
  const page = memmap.pfnToPage(frame);
  return memmap.initialised(page) ? memmap.zoneOf(page) === zone.type : zone.deferred.has(frame);
}
