// Invariants of zones and their free pages. The quick ones check counters and lists and hold between any two steps of
// a task. The others walk every initialised struct page and hold while no hotplug operation is running.
import type { Invariant, Page, Pfn } from "@hetmem/kernel";
import {
  describePage,
  PageFlag,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SectionFlag,
  sectionOfPfn,
  sectionToPfn,
} from "@hetmem/page";
import { allZones, type Memory } from "./memory.ts";
import type { PerCpuPages } from "./pcp.ts";
import { ZoneStat } from "./vmstat.ts";
import {
  MAX_ORDER,
  MIGRATE_PCPTYPES,
  MIGRATE_TYPES,
  MigrateType,
  PAGE_ALLOC_COSTLY_ORDER,
  ZoneType,
} from "./zone-type.ts";
import type { Zone } from "./zone.ts";

export const quickInvariants: readonly Invariant<Memory>[] = [
  {
    name: "managed <= present <= spanned",
    *check(memory) {
      for (const zone of allZones(memory)) {
        const { managedPages, presentPages, presentEarlyPages, spannedPages } = zone;
        if (
          managedPages < 0 ||
          managedPages > presentPages ||
          presentPages > spannedPages ||
          presentEarlyPages > presentPages
        ) {
          yield `${nameOf(zone)}: managed ${managedPages}, present ${presentPages} (${presentEarlyPages} of them early), spanned ${spannedPages}`;
        }
      }
    },
  },
  {
    name: "a node spans its zones, and nothing beside them",
    *check({ nodes }) {
      for (const node of nodes) {
        if (!node) continue;
        let start = Number.POSITIVE_INFINITY;
        let end = 0;
        for (const zone of node.zones) {
          if (zone.empty) continue;
          start = Math.min(start, zone.startPfn);
          end = Math.max(end, zone.endPfn);
        }
        if (end === 0) start = 0;
        if (node.startPfn !== start || node.endPfn !== end)
          yield `node ${node.id} spans ${spanOf(node.startPfn, node.endPfn)}, and its zones ${spanOf(start, end)}`;
      }
    },
  },
  {
    name: "nr_free_pages counts what is listed and what nobody has touched",
    *check(memory) {
      for (const zone of allZones(memory)) {
        const listed = zone.free.pagesOfType.reduce((sum, pages) => sum + pages, 0);
        const expected = listed - (zone.free.pagesOfType[MigrateType.Isolate] ?? 0) + zone.deferred.pages;
        const counted = zone.stat[ZoneStat.nr_free_pages];
        if (counted !== expected) yield `${nameOf(zone)} counts ${counted} free pages and has ${expected}`;
      }
    },
  },
  {
    name: "the lists of a type have as many pages as are counted for it",
    *check(memory) {
      for (const zone of allZones(memory)) {
        for (let type = 0; type < MIGRATE_TYPES; type++) {
          let listed = 0;
          for (let order = 0; order < MAX_ORDER; order++)
            listed += zone.free.blocks(order, type as MigrateType) << order;
          const counted = zone.free.pagesOfType[type];
          if (counted !== listed)
            yield `${nameOf(zone)} counts ${counted} pages of type ${type} and lists ${listed}`;
        }
      }
    },
  },
  {
    name: "a per-cpu list has as many pages as are counted for it",
    *check(memory) {
      for (const zone of allZones(memory)) {
        if (!zone.populated) continue;
        for (const [cpu, pcp] of zone.pcp.entries()) {
          const cached = cachedBlocks(pcp).reduce(
            (sum, [order, blocks]) => sum + (blocks.length << order),
            0,
          );
          if (pcp.count !== cached)
            yield `${nameOf(zone)} counts ${pcp.count} pages for cpu ${cpu}, which has ${cached}`;
        }
      }
    },
  },
  {
    name: "free and cached pages are managed",
    *check(memory) {
      for (const zone of allZones(memory)) {
        const cached = zone.pcp.reduce((sum, { count }) => sum + count, 0);
        const free = zone.freePages + (zone.free.pagesOfType[MigrateType.Isolate] ?? 0) + cached;
        if (free > zone.managedPages)
          yield `${nameOf(zone)} has ${free} free pages and manages ${zone.managedPages}`;
      }
    },
  },
  {
    name: "watermarks are in order",
    *check(memory) {
      for (const zone of allZones(memory)) {
        const { min, low, high } = zone.watermark;
        if (min < 0 || low < min || high < low) yield `${nameOf(zone)}: min ${min}, low ${low}, high ${high}`;
      }
    },
  },
  {
    name: "every request can reach every zone that has memory, and no other",
    *check(memory) {
      const populated = [...allZones(memory)].filter((zone) => zone.populated).length;
      for (const node of memory.nodes) {
        const { fallback, thisNode } = node?.zonelists ?? { fallback: [], thisNode: [] };
        if (node && (fallback.length !== populated || !fallback.every((zone) => zone.populated))) {
          yield `node ${node.id} lists ${fallback.length} zones, and ${populated} have memory`;
        }
        if (thisNode.some((zone) => zone.node !== node?.id))
          yield `node ${node?.id} takes a zone of another node for its own`;
      }
    },
  },
];

export const memoryInvariants: readonly Invariant<Memory>[] = [
  ...quickInvariants,
  {
    name: "a free page is on one list, in one aligned block that its first page heads",
    *check(memory) {
      for (const zone of allZones(memory)) {
        for (let order = 0; order < MAX_ORDER; order++) {
          for (let type = 0; type < MIGRATE_TYPES; type++)
            yield* brokenBlocks(memory, zone, order, type as MigrateType);
        }
        yield* brokenCachedPages(memory, zone);
      }
      yield* blocksOnNoList(memory);
    },
  },
  {
    name: "the pages of a zone lie in its span, and those that were plugged in are all of it",
    *check(memory) {
      const plugged = pluggedPages(memory);
      for (const zone of allZones(memory)) {
        if (zone.type === ZoneType.Device) continue;
        const late = zone.presentPages - zone.presentEarlyPages;
        const found = plugged.get(zone)?.pages ?? 0;
        if (late !== found)
          yield `${nameOf(zone)} has ${late} plugged-in pages present, and ${found} are online`;
        const outside = plugged.get(zone)?.outside;
        if (outside !== undefined) yield `${nameOf(zone)} does not span its frame 0x${outside.toString(16)}`;
      }
    },
  },
  {
    name: "a zone's span begins and ends with its pages",
    *check(memory) {
      for (const zone of allZones(memory)) {
        if (zone.type === ZoneType.Device) continue;
        if (
          !zone.populated &&
          zone.presentEarlyPages === 0 &&
          !zone.empty &&
          !spansFirmwareHole(memory, zone)
        ) {
          yield `${nameOf(zone)} spans ${zone.spannedPages} frames, and none is present`;
        }
        // A zone with boot memory may span holes at its ends; the span of a zone with only hotplugged memory fits
        // exactly.
        if (!zone.populated || zone.presentEarlyPages > 0) continue;
        for (const frame of [zone.startPfn, (zone.endPfn - 1) as Pfn]) {
          if (!isOnlineIn(memory, zone, frame))
            yield `${nameOf(zone)} spans frame 0x${frame.toString(16)}, which is not its own`;
        }
      }
    },
  },
  {
    name: "memory that nobody has touched is online, and has no struct pages",
    *check(memory) {
      const { memmap } = memory;
      for (const zone of allZones(memory)) {
        for (const section of zone.deferred.sections()) {
          if (!memmap.sections.has(section, SectionFlag.online))
            yield `section ${section} of ${nameOf(zone)} is deferred, and not online`;
        }
      }
      for (const frame of initialisedSubsections(memory)) {
        for (const zone of allZones(memory)) {
          if (zone.deferred.has(frame))
            yield `frame 0x${frame.toString(16)} of ${nameOf(zone)} is deferred, and its struct page initialised`;
        }
      }
    },
  },
];

/** The inconsistencies of the blocks on one list. */
function* brokenBlocks(
  memory: Memory,
  zone: Zone,
  order: number,
  type: MigrateType,
): Generator<string, void, void> {
  const { memmap, allocator } = memory;
  for (const block of zone.free.blockPages(order, type)) {
    const where = `${nameOf(zone)}, list of order ${order} and type ${type}: ${describePage(memmap, block)}`;
    if (block % (1 << order) !== 0) yield `${where} is not aligned`;
    if (memmap.freeBlockOrder(block, zone.type) !== order || memmap.freeBlockType(block) !== type)
      yield `${where} is marked otherwise`;
    if (memmap.nodeOf(block) !== zone.node) yield `${where} belongs to node ${memmap.nodeOf(block)}`;
    if ((allocator.pageblocks.get(block) === MigrateType.Isolate) !== (type === MigrateType.Isolate))
      yield `${where} is isolated, or is not, against its pageblock`;
    const expected = memmap.flags(block) & ~PageFlag.buddy;
    for (let page = block + 1; page < block + (1 << order); page++) {
      if (memmap.flags(page as Page) !== expected || memmap.refcount(page as Page) !== 0) {
        yield `${where} contains ${describePage(memmap, page as Page)}`;
      }
    }
  }
}

function* brokenCachedPages({ memmap }: Memory, zone: Zone): Generator<string, void, void> {
  const seen = new Set<number>();
  for (const pcp of zone.pcp) {
    for (const [order, blocks] of cachedBlocks(pcp)) {
      for (const block of blocks) {
        for (let page = block as number; page < block + (1 << order); page++) {
          const where = `${nameOf(zone)}, per-cpu list: ${describePage(memmap, page as Page)}`;
          if (seen.has(page)) yield `${where} is there twice`;
          seen.add(page);
          const belongs =
            memmap.zoneOf(page as Page) === zone.type && memmap.nodeOf(page as Page) === zone.node;
          if (!belongs || memmap.test(page as Page, PageFlag.buddy) || memmap.refcount(page as Page) !== 0)
            yield where;
        }
      }
    }
  }
}

/** The blocks on a CPU's lists, with their order. */
function cachedBlocks(pcp: PerCpuPages): [order: number, blocks: readonly Page[]][] {
  const lists: [number, readonly Page[]][] = [];
  for (let order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++) {
    for (let type = 0; type < MIGRATE_PCPTYPES; type++)
      lists.push([order, pcp.blocks(order, type as MigrateType)]);
  }
  return lists;
}

/** Compares the number of pages with the buddy flag to the number of listed blocks. */
function* blocksOnNoList(memory: Memory): Generator<string, void, void> {
  const { memmap } = memory;
  let marked = 0;
  for (const frame of initialisedSubsections(memory)) {
    const first = memmap.pfnToPage(frame);
    for (let page = first as number; page < first + PAGES_PER_SUBSECTION; page++) {
      if (memmap.initialised(page as Page) && memmap.test(page as Page, PageFlag.buddy)) marked++;
    }
  }
  let listed = 0;
  for (const zone of allZones(memory)) {
    for (let order = 0; order < MAX_ORDER; order++) {
      for (let type = 0; type < MIGRATE_TYPES; type++) listed += zone.free.blocks(order, type as MigrateType);
    }
  }
  if (marked !== listed) yield `${marked} pages are marked as free blocks, and ${listed} blocks are listed`;
}

interface Plugged {
  pages: number;
  /** A frame that the zone doesn't span. */
  outside: Pfn | undefined;
}

/** Online memory that isn't boot memory, by zone. */
function pluggedPages(memory: Memory): Map<Zone, Plugged> {
  const { memmap, nodes } = memory;
  const plugged = new Map<Zone, Plugged>();
  const count = (zone: Zone | undefined, frame: Pfn, pages: number): void => {
    const section = sectionOfPfn(frame);
    if (memmap.sections.has(section, SectionFlag.early) || !memmap.sections.has(section, SectionFlag.online))
      return;
    if (!zone) return;
    const known = plugged.get(zone) ?? { pages: 0, outside: undefined };
    plugged.set(zone, known);
    known.pages += pages;
    if (!zone.intersects(frame, 1)) known.outside ??= frame;
  };
  for (const frame of initialisedSubsections(memory)) {
    const page = memmap.pfnToPage(frame);
    count(nodes[memmap.nodeOf(page)]?.zones[memmap.zoneOf(page)], frame, PAGES_PER_SUBSECTION);
  }
  for (const zone of allZones(memory))
    for (const section of zone.deferred.sections()) count(zone, sectionToPfn(section), PAGES_PER_SECTION);
  return plugged;
}

/**
 * The first frame of each subsection with initialised struct pages. A subsection is initialised as a whole and lies
 * in one zone.
 */
function* initialisedSubsections({ memmap }: Memory): Generator<Pfn, void, void> {
  for (const section of memmap.sections.present()) {
    if (!memmap.sections.has(section, SectionFlag.initialised)) continue;
    const start = sectionToPfn(section);
    for (let i = 0; i < PAGES_PER_SECTION; i += PAGES_PER_SUBSECTION) {
      const frame = (start + i) as Pfn;
      if (memmap.pfnValid(frame) && memmap.initialised(memmap.pfnToPage(frame))) yield frame;
    }
  }
}

function isOnlineIn({ memmap }: Memory, zone: Zone, frame: Pfn): boolean {
  if (!memmap.pfnValid(frame) || !memmap.sections.has(sectionOfPfn(frame), SectionFlag.online)) return false;
  if (memmap.sections.isUntouched(sectionOfPfn(frame))) return zone.deferred.has(frame);
  const page = memmap.pfnToPage(frame);
  if (!memmap.initialised(page)) return zone.deferred.has(frame);
  return memmap.nodeOf(page) === zone.node && memmap.zoneOf(page) === zone.type;
}

/**
 * Whether the zone lies within a hole of its node's boot memory. Boot zones are spanned from the node's first frame
 * to its last.
 */
function spansFirmwareHole({ memblock }: Memory, zone: Zone): boolean {
  const frames = memblock.pfnRanges(zone.node);
  return (frames[0]?.start ?? Infinity) < zone.startPfn && (frames.at(-1)?.end ?? 0) > zone.endPfn;
}

function spanOf(start: number, end: number): string {
  return `0x${start.toString(16)}-0x${end.toString(16)}`;
}

function nameOf({ node, name }: Zone): string {
  return `zone ${name} of node ${node}`;
}
