// Struct pages of boot memory. Each section is added to the section table; the struct pages of each zone's part of it
// stay uninitialised until the first use. Kernel counterparts: sparse_init() in mm/sparse.c, memmap_init() and
// memblock_free_all().
import { alignDown, alignUp, KernelError, type Pfn } from "@hetmem/kernel";
import {
  type MemMap,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionFlag,
  sectionOfPfn,
  sectionToPfn,
} from "@hetmem/page";
import type { DeferredPart } from "./deferred.ts";
import type { PfnRange } from "./memblock.ts";
import type { Memory } from "./memory.ts";
import type { Pageblocks } from "./pageblock.ts";
import type { Zone } from "./zone.ts";
import { MigrateType, PAGEBLOCK_NR_PAGES } from "./zone-type.ts";

/** Frames [start, end) of one zone. */
interface ZonePiece {
  readonly start: Pfn;
  readonly end: Pfn;
  readonly zone: Zone;
}

/** Sections [first, end) of one zone. */
interface ZoneSections {
  readonly first: number;
  readonly end: number;
  readonly zone: Zone;
}

/** Pieces of zones, cut at section borders. */
interface BySection {
  readonly whole: readonly ZoneSections[];
  /** The pieces that don't fill a section, by section number. */
  readonly parts: ReadonlyMap<number, readonly ZonePiece[]>;
}

const EARLY = SectionFlag.present | SectionFlag.online | SectionFlag.early;

/** Adds every section that has memory and defers it in its zones. The caller sets the zones' counters. */
export function initBootSections(memory: Memory): void {
  const { allocator, memblock, memmap } = memory;
  const present = bySection(zonePieces(memory, memblock.pfnRanges()));
  const free = bySection(zonePieces(memory, memblock.freePfnRanges()));
  for (const sections of present.whole) initWholeSections(memmap, sections, free);
  for (const [section, pieces] of present.parts) {
    addSubsections(memmap, pieces);
    typePageblocks(memmap, allocator.pageblocks, pieces);
    for (const [zone, part] of partsOf(section, pieces, free)) zone.deferred.deferParts([part]);
  }
}

/** Frame ranges cut at the borders of their node's zones, ascending. */
function* zonePieces({ nodes }: Memory, ranges: readonly PfnRange[]): Generator<ZonePiece, void, void> {
  for (const range of ranges) {
    for (const zone of nodes[range.node]?.zones ?? []) {
      const start = Math.max(range.start, zone.startPfn) as Pfn;
      const end = Math.min(range.end, zone.endPfn) as Pfn;
      if (start < end) yield { start, end, zone };
    }
  }
}

function bySection(pieces: Iterable<ZonePiece>): BySection {
  const whole: ZoneSections[] = [];
  const parts = new Map<number, ZonePiece[]>();
  const addPart = (start: number, end: number, zone: Zone): void => {
    const piece = { start: start as Pfn, end: end as Pfn, zone };
    if (start < end && !parts.get(sectionOfPfn(piece.start))?.push(piece))
      parts.set(sectionOfPfn(piece.start), [piece]);
  };
  for (const { start, end, zone } of pieces) {
    const first = Math.ceil(start / PAGES_PER_SECTION);
    const last = Math.floor(end / PAGES_PER_SECTION);
    if (first > last) {
      addPart(start, end, zone);
      continue;
    }
    addPart(start, sectionToPfn(first), zone);
    if (first < last) whole.push({ first, end: last, zone });
    addPart(sectionToPfn(last), end, zone);
  }
  return { whole, parts };
}

/**
 * Adds sections that lie wholly in one zone. Runs of them without reserved memory, which most are, are deferred by
 * one call.
 */
function initWholeSections(memmap: MemMap, { first, end, zone }: ZoneSections, free: BySection): void {
  memmap.sections.addUntouched(first, end, zone.node, EARLY);
  const parts: DeferredPart[] = [];
  for (let section = first; section < end;) {
    const run = free.whole.find((candidate) => section >= candidate.first && section < candidate.end);
    if (run) {
      const runEnd = Math.min(run.end, end);
      zone.deferred.defer(section, runEnd);
      section = runEnd;
    } else {
      const start = sectionToPfn(section);
      parts.push({ start, end: sectionToPfn(section + 1), free: free.parts.get(section) ?? [] });
      section++;
    }
  }
  zone.deferred.deferParts(parts);
}

/** Adds struct pages for each subsection that overlaps a piece. @see subsection_map_init() */
function addSubsections(memmap: MemMap, pieces: readonly ZonePiece[]): void {
  let done = 0;
  for (const { start, end, zone } of pieces) {
    const first = Math.max(done, alignDown(start, PAGES_PER_SUBSECTION));
    done = Math.max(done, alignUp(end, PAGES_PER_SUBSECTION));
    if (first < done) memmap.sections.add(first as Pfn, done - first, zone.node, EARLY);
  }
}

/**
 * Makes a pageblock Unmovable when its first frame isn't memory. All others keep Movable: the kernel sets the type
 * only at a pageblock's first frame.
 *
 * @see memmap_init_range()
 */
function typePageblocks(memmap: MemMap, pageblocks: Pageblocks, pieces: readonly ZonePiece[]): void {
  for (const { start } of pieces) {
    const first = alignDown(start, PAGEBLOCK_NR_PAGES);
    const isMemory = pieces.some((piece) => first >= piece.start && first < piece.end);
    if (!isMemory) pageblocks.set(memmap.pfnToPage(start), MigrateType.Unmovable);
  }
}

/**
 * The part of a section that each zone has: from its first piece to its last, with the holes around them that have
 * struct pages.
 *
 * @throws KernelError EINVAL when the pieces of two zones alternate in the section
 */
function partsOf(section: number, pieces: readonly ZonePiece[], free: BySection): Map<Zone, DeferredPart> {
  const parts = new Map<Zone, DeferredPart>();
  let next = sectionToPfn(section);
  for (const [i, { start, end, zone }] of pieces.entries()) {
    const known = parts.get(zone);
    if (known && pieces[i - 1]?.zone !== zone) {
      throw new KernelError(
        "EINVAL",
        `memory of two nodes alternates within section ${section}: give each node whole sections`,
      );
    }
    const first = known?.start ?? (Math.max(next, alignDown(start, PAGES_PER_SUBSECTION)) as Pfn);
    next = Math.min(alignUp(end, PAGES_PER_SUBSECTION), pieces[i + 1]?.start ?? Infinity) as Pfn;
    parts.set(zone, {
      start: first,
      end: next,
      free: (free.parts.get(section) ?? []).filter((range) => range.zone === zone),
    });
  }
  return parts;
}
