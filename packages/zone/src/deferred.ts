// Free memory whose struct pages aren't initialised: whole sections, or a zone's part of one. A zone initialises its
// next section when its free lists run out of large blocks, so that a machine of a terabyte boots, and a terabyte
// goes online, in milliseconds. Boot memory is used from its start, then onlined memory, the oldest first. Kernel
// counterpart: DEFERRED_STRUCT_PAGE_INIT, deferred_grow_zone() in mm/page_alloc.c.
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

/** A zone's part of one section, holes included. */
export interface DeferredPart extends FrameRange {
  /** The free frames, ascending; all others are reserved. */
  readonly free: readonly FrameRange[];
}

/** Sections [first, end) in which every frame is free. */
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
  /** Onlined memory, in the order in which it went online. */
  #onlined: SectionRun[] = [];
  /** The key is the section number. */
  readonly #parts = new Map<number, DeferredPart>();
  /** Numbers of the sections in #parts that have free frames, descending. */
  #growableParts: number[] = [];
  #pages = 0;

  constructor(memmap: MemMap, pageblocks: Pageblocks) {
    this.#memmap = memmap;
    this.#pageblocks = pageblocks;
  }

  /** Adds sections [first, end) of boot memory. Each must be present, wholly free and in one zone. */
  defer(first: number, end: number): void {
    if (first >= end) return;
    this.#runs = [...this.#runs, { first, end }].sort((a, b) => a.first - b.first);
    this.#pages += (end - first) * PAGES_PER_SECTION;
  }

  /** Adds a section that has gone online, to be used last. The section must be wholly free and in one zone. */
  deferOnlined(section: number): void {
    const last = this.#onlined.at(-1);
    if (last?.end === section)
      this.#onlined[this.#onlined.length - 1] = { first: last.first, end: section + 1 };
    else this.#onlined.push({ first: section, end: section + 1 });
    this.#pages += PAGES_PER_SECTION;
  }

  /**
   * Adds a zone's parts of sections that have reserved frames, holes or frames of another zone: one part for each
   * section.
   */
  deferParts(parts: readonly DeferredPart[]): void {
    for (const part of parts) {
      this.#parts.set(sectionOfPfn(part.start), part);
      this.#pages += pagesOf(part.free);
    }
    const growable = parts.filter(({ free }) => free.length > 0).map(({ start }) => sectionOfPfn(start));
    this.#growableParts = [...this.#growableParts, ...growable].sort((a, b) => b - a);
  }

  /** Free pages that are on no free list. */
  get pages(): number {
    return this.#pages;
  }

  /** Free blocks of an order and a migrate type that initialisation would put on the free lists. */
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

  /** Numbers of all deferred sections, ascending. */
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

  /** Whether every frame of the zone's part of a deferred section is free. */
  isFree(section: number): boolean {
    const part = this.#parts.get(section);
    return part === undefined || pagesOf(part.free) === part.end - part.start;
  }

  /**
   * Initialises the next section that has free pages and puts its blocks on the free lists.
   *
   * @returns whether there was one
   */
  grow(zone: Zone): boolean {
    const boot = Math.min(this.#runs[0]?.first ?? Infinity, this.#growableParts.at(-1) ?? Infinity);
    const section = boot === Infinity ? this.#onlined[0]?.first : boot;
    if (section === undefined) return false;
    this.#list(zone, section);
    return true;
  }

  /**
   * Initialises the section of a frame, if it is deferred. A caller does so before it reads the frame's struct page.
   */
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

  /**
   * Adds the blocks to the tail of the free lists, ascending, so that boot memory is used from its start.
   * NR_FREE_PAGES counts them already.
   *
   * @see deferred_free_range()
   */
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

/** The runs without one section, in their order. */
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

/** Initialises the struct pages of [start, end), holes included, as reserved. @see init_unavailable_range() */
function initReserved(memmap: MemMap, zone: Zone, start: Pfn, end: Pfn): void {
  for (let frame = start; frame < end;) {
    const next = Math.min(end, (Math.floor(frame / PAGES_PER_SUBSECTION) + 1) * PAGES_PER_SUBSECTION);
    if (memmap.pfnValid(frame))
      memmap.initRange(memmap.pfnToPage(frame), next - frame, zone.type, PageFlag.reserved, 1);
    frame = next as Pfn;
  }
}

/** Splits a range into the largest aligned blocks, ascending. @see __free_memory_core() in mm/memblock.c */
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
