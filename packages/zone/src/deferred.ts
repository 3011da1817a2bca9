// Free memory that nobody has touched yet: sections, or a zone's part of one, whose struct pages don't exist. A zone
// grows into the next one when its lists run out of large blocks, so that a machine of a terabyte boots, and memory of
// a terabyte goes online, in milliseconds. Boot memory is used from its start, then what went online, the oldest first. Kernel counterpart: DEFERRED_STRUCT_PAGE_INIT, deferred_grow_zone() in mm/page_alloc.c.
import type { Page, Pfn } from "@hetmem/kernel";
import {
  type MemMap,
  PageFlag,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionFlag,
  sectionOfPfn,
  sectionToPfn,
} from "@hetmem/page";
import type { Pageblocks } from "./pageblock.ts";
import type { Zone } from "./zone.ts";
import { MAX_ORDER, MAX_ORDER_NR_PAGES, MigrateType } from "./zone-type.ts";

/** Frames [start, end). */
export interface FrameRange {
  readonly start: Pfn;
  readonly end: Pfn;
}

/** What a zone has of one section, holes among it. */
export interface DeferredPart extends FrameRange {
  /** The frames that are free, ascending; the others are reserved. */
  readonly free: readonly FrameRange[];
}

/** Sections [first, end) that are free from the first frame to the last. */
interface SectionRun {
  readonly first: number;
  readonly end: number;
}

const LARGEST_BLOCKS_PER_SECTION = PAGES_PER_SECTION / MAX_ORDER_NR_PAGES;

export class DeferredSections {
  readonly #memmap: MemMap;
  readonly #pageblocks: Pageblocks;
  /** Boot memory, ascending. */
  #runs: SectionRun[] = [];
  /** What went online later, in that order. */
  #onlined: SectionRun[] = [];
  /** By section. */
  readonly #parts = new Map<number, DeferredPart>();
  /** Sections of parts that have free frames, the lowest last. */
  #growableParts: number[] = [];
  #pages = 0;

  constructor(memmap: MemMap, pageblocks: Pageblocks) {
    this.#memmap = memmap;
    this.#pageblocks = pageblocks;
  }

  /** Says that sections [first, end) are free and untouched. They must be whole, present and of one zone. */
  defer(first: number, end: number): void {
    if (first >= end) return;
    this.#runs = [...this.#runs, { first, end }].sort((a, b) => a.first - b.first);
    this.#pages += (end - first) * PAGES_PER_SECTION;
  }

  /** Says the same of a section that has gone online: it is used last. */
  deferOnlined(section: number): void {
    const last = this.#onlined.at(-1);
    if (last?.end === section)
      this.#onlined[this.#onlined.length - 1] = { first: last.first, end: section + 1 };
    else this.#onlined.push({ first: section, end: section + 1 });
    this.#pages += PAGES_PER_SECTION;
  }

  /** Says the same of sections that are partly reserved, partly holes, or partly another zone's: one part a section. */
  deferParts(parts: readonly DeferredPart[]): void {
    for (const part of parts) {
      this.#parts.set(sectionOfPfn(part.start), part);
      this.#pages += pagesOf(part.free);
    }
    const growable = parts.filter(({ free }) => free.length > 0).map(({ start }) => sectionOfPfn(start));
    this.#growableParts = [...this.#growableParts, ...growable].sort((a, b) => b - a);
  }

  /** Pages that are free without being on a list. */
  get pages(): number {
    return this.#pages;
  }

  /** Blocks of one order and type that these pages would make. */
  blocks(order: number, type: MigrateType): number {
    let blocks = 0;
    for (const section of this.#growableParts) {
      for (const range of this.#parts.get(section)?.free ?? []) {
        for (const block of blocksOf(range))
          if (block.order === order && this.#typeOf(block.start) === type) blocks++;
      }
    }
    if (order < MAX_ORDER - 1 || type !== MigrateType.Movable) return blocks;
    return this.#allRuns().reduce(
      (sum, { first, end }) => sum + (end - first) * LARGEST_BLOCKS_PER_SECTION,
      blocks,
    );
  }

  /** Numbers of the sections, ascending. */
  sections(): number[] {
    const sections = [...this.#parts.keys()];
    for (const { first, end } of this.#allRuns())
      for (let section = first; section < end; section++) sections.push(section);
    return sections.sort((a, b) => a - b);
  }

  has(frame: Pfn): boolean {
    const section = sectionOfPfn(frame);
    const part = this.#parts.get(section);
    if (part) return frame >= part.start && frame < part.end;
    return this.#allRuns().some(({ first, end }) => section >= first && section < end);
  }

  /** Whether all that the zone has of a deferred section is free. */
  isFree(section: number): boolean {
    const part = this.#parts.get(section);
    return part === undefined || pagesOf(part.free) === part.end - part.start;
  }

  /** Initialises the next section that has free pages and lists its blocks. @returns whether there was one */
  grow(zone: Zone): boolean {
    const boot = Math.min(this.#runs[0]?.first ?? Infinity, this.#growableParts.at(-1) ?? Infinity);
    const section = boot === Infinity ? this.#onlined[0]?.first : boot;
    if (section === undefined) return false;
    this.#list(zone, section);
    return true;
  }

  /** Initialises the section of a frame that somebody is about to look at. */
  touch(zone: Zone, frame: Pfn): void {
    if (this.has(frame)) this.#list(zone, sectionOfPfn(frame));
  }

  #list(zone: Zone, section: number): void {
    const part = this.#parts.get(section) ?? wholeSection(section);
    if (this.#parts.delete(section))
      this.#growableParts = this.#growableParts.filter((other) => other !== section);
    else this.#takeFromRun(section);
    this.#pages -= pagesOf(part.free);
    this.#memmap.sections.set(section, SectionFlag.initialised);
    let next = part.start;
    for (const range of part.free) {
      initReserved(this.#memmap, zone, next, range.start);
      this.#listFree(zone, range);
      next = range.end;
    }
    initReserved(this.#memmap, zone, next, part.end);
  }

  /** Blocks go to the tail, ascending: boot memory is used from its start. The counters counted them all along. @see deferred_free_range() */
  #listFree(zone: Zone, range: FrameRange): void {
    const memmap = this.#memmap;
    const first = memmap.pfnToPage(range.start);
    memmap.initRange(first, range.end - range.start, zone.type, 0, 0);
    for (const { start, order } of blocksOf(range)) {
      zone.free.free((first + (start - range.start)) as Page, order, this.#typeOf(start), true);
    }
  }

  #typeOf(frame: Pfn): MigrateType {
    return this.#pageblocks.get(this.#memmap.pfnToPage(frame));
  }

  #takeFromRun(section: number): void {
    this.#runs = without(this.#runs, section);
    this.#onlined = without(this.#onlined, section);
  }

  #allRuns(): readonly SectionRun[] {
    return this.#onlined.length === 0 ? this.#runs : [...this.#runs, ...this.#onlined];
  }
}

/** Runs in their order, cut where the section was. */
function without(runs: readonly SectionRun[], section: number): SectionRun[] {
  return runs.flatMap(({ first, end }) => {
    if (section < first || section >= end) return [{ first, end }];
    const halves = [
      { first, end: section },
      { first: section + 1, end },
    ];
    return halves.filter((half) => half.first < half.end);
  });
}

/** What isn't free is reserved, holes too where they have struct pages. @see init_unavailable_range() */
function initReserved(memmap: MemMap, zone: Zone, start: Pfn, end: Pfn): void {
  for (let frame = start; frame < end;) {
    const next = Math.min(end, (Math.floor(frame / PAGES_PER_SUBSECTION) + 1) * PAGES_PER_SUBSECTION);
    if (memmap.pfnValid(frame))
      memmap.initRange(memmap.pfnToPage(frame), next - frame, zone.type, PageFlag.reserved, 1);
    frame = next as Pfn;
  }
}

/** The largest aligned blocks that a range is made of, ascending. @see __free_memory_core() in mm/memblock.c */
function* blocksOf({
  start,
  end,
}: FrameRange): Generator<{ readonly start: Pfn; readonly order: number }, void, void> {
  for (let frame = start as number; frame < end;) {
    const inSection = frame % PAGES_PER_SECTION;
    let order =
      inSection % MAX_ORDER_NR_PAGES === 0 ? MAX_ORDER - 1 : 31 - Math.clz32(inSection & -inSection);
    while (frame + 2 ** order > end) order--;
    yield { start: frame as Pfn, order };
    frame += 2 ** order;
  }
}

function wholeSection(section: number): DeferredPart {
  const range = { start: sectionToPfn(section), end: sectionToPfn(section + 1) };
  return { ...range, free: [range] };
}

function pagesOf(ranges: readonly FrameRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
