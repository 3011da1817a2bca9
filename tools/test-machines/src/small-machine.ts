// A few zones built by hand, without firmware, boot or hotplug, so that a test of the allocator depends on the
// allocator only. Each zone has whole sections of its own, one zone after the other, and a given number of free
// pages.
import { createKernel, type Kernel, type NodeId, nodeId, type Page, type Pfn } from "@hetmem/kernel";
import { MemMap, NO_ZONE, NULL_PAGE, PAGES_PER_SECTION, PageFlag, SectionFlag } from "@hetmem/page";
import {
  MAX_ORDER,
  MemoryNode,
  MigrateType,
  PageAllocator,
  Pageblocks,
  Zone,
  ZONE_NAMES,
  type ZoneName,
  ZoneStat,
  ZoneType,
} from "@hetmem/zone";

export interface SmallZone {
  /** Free pages of the zone; the rest of its sections is reserved. */
  readonly pages?: number;
  /** Whole free sections after those pages, whose struct pages aren't initialised yet. */
  readonly deferredSections?: number;
}

export interface SmallSpec {
  /** Zones of each node. */
  readonly nodes: readonly Partial<Record<ZoneName, SmallZone>>[];
  /** distance[from][to]; 10 and 20 where absent. */
  readonly distance?: readonly (readonly number[])[];
  readonly cpus?: number;
  /** Absent: no per-cpu lists. */
  readonly pcp?: { readonly high: number; readonly batch: number };
}

export interface SmallMachine {
  readonly kernel: Kernel;
  readonly memmap: MemMap;
  readonly pageblocks: Pageblocks;
  readonly nodes: readonly MemoryNode[];
  readonly allocator: PageAllocator;
  zone(name: ZoneName, node?: number): Zone;
  /** First page of a zone. */
  start(zone: Zone): Page;
}

const NODE_0 = 0 as NodeId;

/** One node with one Normal zone of `pages` free pages. */
export function oneZone(
  pages: number,
  options: Omit<SmallSpec, "nodes"> = {},
): SmallMachine & { readonly normal: Zone } {
  const machine = smallMachine({ ...options, nodes: [{ Normal: { pages } }] });
  return { ...machine, normal: machine.zone("Normal") };
}

export function smallMachine(spec: SmallSpec): SmallMachine {
  const kernel = createKernel();
  const memmap = new MemMap({ maxPages: countSections(spec) * PAGES_PER_SECTION, physicalBits: 46 });
  const pageblocks = new Pageblocks(memmap);
  let section = 1;
  const nodes = spec.nodes.map((zones, id) => {
    const node = id as NodeId;
    const made = ZONE_NAMES.map((name) => new Zone(memmap, pageblocks, node, ZoneType[name], spec.cpus ?? 1));
    for (const name of ZONE_NAMES) {
      const zone = made[ZoneType[name]];
      const wanted = zones[name];
      if (!zone || !wanted) continue;
      section += fill(memmap, zone, section, wanted);
      for (const pcp of zone.pcp) Object.assign(pcp, spec.pcp ?? {});
      if (!spec.pcp) zone.pcpDisabled = 1;
    }
    return new MemoryNode(node, id === 0 ? [0] : [], made);
  });
  for (const node of nodes) {
    const distance = (to: number): number => spec.distance?.[node.id]?.[to] ?? (to === node.id ? 10 : 20);
    const nearest = [...nodes].sort((a, b) => distance(a.id) - distance(b.id));
    const zonesOf = (of: MemoryNode): Zone[] => of.zones.toReversed().filter((zone) => zone.managedPages > 0);
    node.zonelists.fallback = nearest.flatMap(zonesOf);
    node.zonelists.thisNode = zonesOf(node);
  }
  const allocator = new PageAllocator(kernel, memmap, pageblocks, nodes);
  return {
    kernel,
    memmap,
    pageblocks,
    nodes,
    allocator,
    zone: (name, node = 0) => nodes[node]?.zones[ZoneType[name]] as Zone,
    start: (zone) => memmap.pfnToPage(zone.startPfn),
  };
}

/** Gfp bits of unmovable, movable and reclaimable requests without zone modifiers. */
export const UNMOVABLE = 0;

export { MigrateType, NODE_0, ZoneStat, ZoneType };

function sectionsOf({ pages = 0, deferredSections = 0 }: SmallZone): number {
  return Math.ceil(pages / PAGES_PER_SECTION) + deferredSections;
}

function countSections(spec: SmallSpec): number {
  return (
    spec.nodes.flatMap((zones) => Object.values(zones)).reduce((sum, zone) => sum + sectionsOf(zone), 0) + 1
  );
}

/** Initialises a zone's sections and frees its pages, the largest blocks first. @returns sections used */
function fill(memmap: MemMap, zone: Zone, first: number, wanted: SmallZone): number {
  const { pages = 0, deferredSections = 0 } = wanted;
  const sections = sectionsOf(wanted);
  const listed = sections - deferredSections;
  for (let i = 0; i < sections; i++) {
    const start = ((first + i) * PAGES_PER_SECTION) as Pfn;
    memmap.sections.add(start, PAGES_PER_SECTION, zone.node, SectionFlag.online | SectionFlag.early);
    if (i >= listed) continue;
    const page = memmap.pfnToPage(start);
    const free = Math.min(pages - i * PAGES_PER_SECTION, PAGES_PER_SECTION);
    memmap.initRange(page, free, zone.type, 0, 0);
    if (free < PAGES_PER_SECTION) {
      memmap.initRange((page + free) as Page, PAGES_PER_SECTION - free, NO_ZONE, PageFlag.reserved, 1);
    }
    memmap.sections.set(first + i, SectionFlag.initialised);
    freeRange(zone, page, free);
  }
  zone.deferred.defer(first + listed, first + listed + deferredSections);
  const managed = pages + deferredSections * PAGES_PER_SECTION;
  zone.startPfn = (first * PAGES_PER_SECTION) as Pfn;
  zone.spannedPages = sections * PAGES_PER_SECTION;
  zone.presentPages = managed;
  zone.managedPages = managed;
  zone.stat[ZoneStat.nr_free_pages] = managed;
  return sections;
}

function freeRange(zone: Zone, start: Page, pages: number): void {
  for (let done = 0; done < pages;) {
    let order = MAX_ORDER - 1;
    while (done % (1 << order) !== 0 || done + (1 << order) > pages) order--;
    zone.free.free((start + done) as Page, order, MigrateType.Movable, true);
    done += 1 << order;
  }
}

/** Allocates single pages until none is free. @returns their number */
export function exhaust({ allocator }: SmallMachine, gfp: number, node = 0): number {
  let pages = 0;
  while (allocator.allocPages(gfp, 0, nodeId(node)) !== NULL_PAGE) pages++;
  return pages;
}
