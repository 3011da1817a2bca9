// Which frames a zone and its node span, as ranges join and leave. Kernel counterpart: move_pfn_range_to_zone() and
// remove_pfn_range_from_zone() in mm/memory_hotplug.c.
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

/** No references: a lockless walk that has still read of such a page can take none. */
const NOT_ONLINE: RamPages = { zone: NO_ZONE, state: PageFlag.reserved, references: 0 };

/**
 * Ties a range to a zone: every page is reserved, with one reference, and the zone spans it.
 *
 * @param type migrate type of its pageblocks
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
 * Lets a zone and its node span a range, and leaves its struct pages alone: those of ZONE_DEVICE are initialised by
 * whoever maps them, once the locks of hotplug are given back.
 *
 * @see resize_zone_range() and resize_pgdat_range() in mm/memory_hotplug.c
 */
export function resizeZoneRange(memory: Memory, zone: Zone, start: Pfn, pages: number): void {
  extend(zone, start, pages);
  extend(memory.nodes[zone.node] as MemoryNode, start, pages);
}

/** Unties a range from its zone, which must not use its pages any more, and shrinks the spans. */
export function removePfnRangeFromZone(memory: Memory, zone: Zone, start: Pfn, pages: number): void {
  // ZONE_DEVICE ranges have no sections that are online, so its span can't be found again by looking: it stays. And
  // their struct pages go at once.
  if (zone.type === ZoneType.Device) return;
  tieToNoZone(memory, start, pages);
  shrinkZoneSpan(memory, zone, start, (start + pages) as Pfn);
  updateNodeSpan(memory.nodes[zone.node] as MemoryNode);
}

/** What the struct pages of memory are that isn't online: reserved, without references, of no zone, and bad where the memory is. */
export function tieToNoZone(memory: Memory, start: Pfn, pages: number): void {
  for (const [frame, count] of sectionFrames(start, pages)) {
    const poisoned = memory.memmap.isDeferred(sectionOfPfn(frame))
      ? []
      : hwpoisonedPages(memory, memory.memmap.pfnToPage(frame), count);
    writePages(memory, frame, count, NOT_ONLINE);
    for (const bad of poisoned) memory.memmap.set(bad, PageFlag.hwpoison);
  }
}

/** The same for memory that has just got its struct pages. Those of a whole section are written when somebody looks. */
export function initAdded(memory: Memory, start: Pfn, pages: number): void {
  if (pages === PAGES_PER_SECTION) memory.memmap.deferSection(sectionOfPfn(start), NOT_ONLINE);
  else tieToNoZone(memory, start, pages);
}

/** Says what the struct pages of a part of a section are, which stay unwritten where they are. */
function writePages({ memmap }: Memory, start: Pfn, pages: number, fresh: RamPages): void {
  const section = sectionOfPfn(start);
  if (pages === PAGES_PER_SECTION && memmap.isDeferred(section)) return memmap.deferSection(section, fresh);
  memmap.initRange(memmap.pfnToPage(start), pages, fresh.zone, fresh.state, fresh.references);
  // Rules walk what was in a zone once, and leave alone what has only been added.
  if (fresh.zone !== NO_ZONE) memmap.sections.set(section, SectionFlag.initialised);
}

/** Struct pages are about to go, and take with them what they know of bad memory. @see clear_hwpoisoned_pages() */
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

/** A range cut at sections, each piece as its first page and its length: struct pages are consecutive within one. */
export function* sectionPieces(
  { memmap }: Memory,
  start: Pfn,
  pages: number,
): Generator<readonly [page: Page, pages: number], void, void> {
  for (const [frame, count] of sectionFrames(start, pages)) yield [memmap.pfnToPage(frame), count];
}

/** The same without the sections of which no struct page has been looked at: all of these are idle. */
export function* touchedPieces(
  { memmap }: Memory,
  start: Pfn,
  pages: number,
): Generator<readonly [page: Page, pages: number], void, void> {
  for (const [frame, count] of sectionFrames(start, pages))
    if (!memmap.sections.isUntouched(sectionOfPfn(frame))) yield [memmap.pfnToPage(frame), count];
}

/** A range of bytes as frames, cut at sections. */
export function sectionRanges(
  start: PhysAddr,
  size: number,
): Generator<readonly [frame: Pfn, pages: number], void, void> {
  return sectionFrames(physToPfn(start), size / PAGE_SIZE);
}

/** A range of frames, cut at sections. */
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

/** Whether a frame that has a struct page is online in this zone. Looking leaves untouched memory untouched. */
export function belongsTo({ memmap }: Memory, zone: Zone, frame: Pfn): boolean {
  if (!memmap.sections.has(sectionOfPfn(frame), SectionFlag.online) || !memmap.pfnValid(frame)) return false;
  if (memmap.sections.nodeOfPfn(frame) !== zone.node) return false;
  if (memmap.sections.isUntouched(sectionOfPfn(frame))) return zone.deferred.has(frame);
  const page = memmap.pfnToPage(frame);
  return memmap.initialised(page) ? memmap.zoneOf(page) === zone.type : zone.deferred.has(frame);
}
