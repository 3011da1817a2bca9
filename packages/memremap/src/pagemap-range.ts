// Mapping one range of a pagemap: conflict checks, the lookup entry, the cache mode, struct pages under the hotplug
// locks, and, after dropping the locks, the contents of the struct pages. Unmapping undoes the steps in reverse.
// Kernel counterpart: pagemap_range() and pageunmap_range() in mm/memremap.c.
import {
  KernelError,
  type NodeId,
  PAGE_SIZE,
  type Pfn,
  physAddr,
  physToPfn,
  type Sleeps,
} from "@hetmem/kernel";
import { PAGES_PER_SECTION, SectionFlag, sectionOfPfn } from "@hetmem/page";
import { iomemMatches, IORESOURCE_SYSTEM_RAM, REGION_DISJOINT, regionIntersects } from "@hetmem/resource";
import { type MemoryNode, removePfnRangeFromZone, resizeZoneRange, type Zone, ZoneType } from "@hetmem/zone";
import type { DevPagemap } from "./dev-pagemap.ts";
import { MEMORY_TYPES } from "./memory-type.ts";
import type { Pagemaps } from "./pagemaps.ts";
import type { ByteRange } from "./policies.ts";
import { memmapInitZoneDevice } from "./zone-device-page.ts";

/**
 * Maps one range of a pagemap.
 *
 * @param range index of the range
 * @param node node whose ZONE_DEVICE gets the pages
 * @throws KernelError as Pagemaps.memremapPages(); nothing has changed then
 * @see pagemap_range()
 */
export function* mapRange(
  pagemaps: Pagemaps,
  pagemap: DevPagemap,
  range: number,
  node: NodeId,
): Sleeps<void> {
  const aligned = alignedRange(pagemaps, pagemap, range);
  expectAltmapFits(pagemap, range, aligned);
  expectNoMapping(pagemaps, pagemap, aligned);
  expectNoRam(pagemaps, pagemap, range, aligned);
  const { tree, memtypes, memory } = pagemaps;
  const { cacheMode } = MEMORY_TYPES[pagemap.type];
  const { start, end } = spanOf(pagemap, range);
  memory.kernel.faults.point("pgmap_array_store").alloc(pagemap.name);
  tree.store(start, end - start, pagemap.id);
  try {
    memory.kernel.faults.point("memtype_reserve").alloc(pagemap.name);
    memtypes.trackPfnRemap(aligned, cacheMode);
    try {
      yield* addStructPages(pagemaps, pagemap, range, node);
    } catch (error) {
      memtypes.untrackPfn(aligned);
      throw error;
    }
  } catch (error) {
    // Erases only the entries of this call: the entries of a conflicting mapping stay ("mm: Fix devm_memremap_pages()
    // collision handling", 2018).
    tree.erase(start, end - start);
    throw error;
  }
  yield* memmapInitZoneDevice(pagemaps, pagemap, range, aligned);
  if (pagemap.idleCount === 1) pagemap.ref.getMany(pagemap.pages(range));
}

/**
 * Unmaps one range whose pages have no users. Lookups find the dead pagemap and its altmap until the last struct page
 * is removed.
 *
 * @see pageunmap_range()
 */
export function* unmapRange(pagemaps: Pagemaps, pagemap: DevPagemap, range: number): Sleeps<void> {
  const { tree, memtypes } = pagemaps;
  const aligned = alignedRange(pagemaps, pagemap, range);
  const { start, end } = spanOf(pagemap, range);
  yield* removeStructPages(pagemaps, aligned, zoneOf(pagemaps, start));
  memtypes.untrackPfn(aligned);
  tree.erase(start, end - start);
}

/** The bytes mapped for a range after alignment: the same for mapping and unmapping. */
function alignedRange({ policies }: Pagemaps, pagemap: DevPagemap, range: number): ByteRange {
  return policies.collision.align(pagemap.ranges[range] as ByteRange);
}

/** Takes the hotplug locks: without them two callers built direct-map page tables concurrently. @see f931ab479dd2 */
function* addStructPages(pagemaps: Pagemaps, pagemap: DevPagemap, range: number, node: NodeId): Sleeps<void> {
  const { hotplug, memory, policies } = pagemaps;
  const { start, size } = alignedRange(pagemaps, pagemap, range);
  const { addressable } = MEMORY_TYPES[pagemap.type];
  const address = physAddr(start);
  if (addressable && !hotplug.range.isAllowed(address, size)) {
    throw new KernelError("EINVAL", `${pagemap} ends past the last address that the kernel can map`);
  }
  yield* begin(pagemaps);
  try {
    memory.kernel.faults.point("arch_add_memory").alloc(pagemap.name);
    const tails = policies.structPages(pagemap, range);
    const params = { altmap: pagemap.altmap, tails, memoryBlocks: false };
    if (addressable) yield* hotplug.archAddMemory(node, address, size, params);
    else yield* hotplug.addPages(node, address, size, params);
    const first = physToPfn(address);
    resizeZoneRange(memory, deviceZone(pagemaps, node), first, size / PAGE_SIZE);
    taintShared(pagemaps, first, (first + size / PAGE_SIZE) as Pfn);
  } finally {
    done(pagemaps);
  }
}

function* removeStructPages(pagemaps: Pagemaps, { start, size }: ByteRange, zone: Zone): Sleeps<void> {
  const { hotplug, memory } = pagemaps;
  const address = physAddr(start);
  yield* begin(pagemaps);
  try {
    removePfnRangeFromZone(memory, zone, physToPfn(address), size / PAGE_SIZE);
    yield* hotplug.archRemoveMemory(address, size);
  } finally {
    done(pagemaps);
  }
}

function* begin({ hotplug: { locks } }: Pagemaps): Sleeps<void> {
  yield* locks.lockDeviceHotplug();
  yield* locks.memHotplugBegin();
}

function done({ hotplug: { locks } }: Pagemaps): void {
  locks.memHotplugDone();
  locks.unlockDeviceHotplug();
}

/**
 * Marks sections that the device shares, so that pfn_to_online_page() checks the zone of each page.
 *
 * @see section_taint_zone_device()
 */
function taintShared({ memmap: { sections } }: Pagemaps, start: Pfn, end: Pfn): void {
  for (const edge of [start, end] as const) {
    const section = sectionOfPfn(edge);
    if (edge % PAGES_PER_SECTION !== 0 && sections.has(section, SectionFlag.present))
      sections.set(section, SectionFlag.taintZoneDevice);
  }
}

function expectAltmapFits(pagemap: DevPagemap, range: number, { start, size }: ByteRange): void {
  const { altmap } = pagemap;
  if (!altmap) return;
  if (range > 0) throw new KernelError("EINVAL", `${pagemap} has an altmap, which goes with a single range`);
  if (altmap.basePfn * PAGE_SIZE === start && altmap.offset <= size / PAGE_SIZE) return;
  throw new KernelError("EINVAL", `${pagemap} sets aside more frames for struct pages than it has`);
}

/** @see 15d36fecd0bd: with two mappings in one section, releasing the first took the struct pages of the second */
function expectNoMapping(pagemaps: Pagemaps, pagemap: DevPagemap, { start, size }: ByteRange): void {
  const other = pagemaps.tree.find(physToPfn(physAddr(start)), size / PAGE_SIZE);
  if (other === 0) return;
  pagemaps.memory.kernel.log.printk(4, "Conflicting mapping in same section");
  const { unit } = pagemaps.policies.collision;
  throw new KernelError(
    "ENOMEM",
    `${pagemap} shares a ${unit} with ${pagemaps.byId(other)}, which is mapped`,
  );
}

/** @see 5f29a77cd957: RAM up to 0x37bffffff and persistent memory from 0x37c000000 are two zones in one section */
function expectNoRam(
  pagemaps: Pagemaps,
  pagemap: DevPagemap,
  range: number,
  { start, size }: ByteRange,
): void {
  const { iomem } = pagemaps.hotplug;
  const met = regionIntersects(iomem, start, size, IORESOURCE_SYSTEM_RAM);
  if (met === REGION_DISJOINT) return;
  const what = met === "REGION_MIXED" ? "mixed" : "ram";
  const [ram] = iomemMatches(iomem, start, start + size - 1, IORESOURCE_SYSTEM_RAM);
  const asked = pagemap.ranges[range] as ByteRange;
  const end = asked.start + asked.size - 1;
  pagemaps.memory.kernel.log.printk(
    4,
    `attempted on ${what} region 0x${asked.start.toString(16)}-0x${end.toString(16)}`,
  );
  throw new KernelError(
    "ENXIO",
    `${pagemap} shares a ${pagemaps.policies.collision.unit} with RAM at 0x${(ram?.start ?? start).toString(16)}: move its start to the next one`,
  );
}

function deviceZone({ memory }: Pagemaps, node: NodeId): Zone {
  return (memory.nodes[node] as MemoryNode).zones[ZoneType.Device] as Zone;
}

/** The zone of a mapped frame. @see page_zone() */
function zoneOf(pagemaps: Pagemaps, frame: Pfn): Zone {
  const { memmap } = pagemaps;
  return deviceZone(pagemaps, memmap.nodeOf(memmap.pfnToPage(frame)));
}

function spanOf(pagemap: DevPagemap, range: number): { readonly start: Pfn; readonly end: Pfn } {
  return pagemap.spans[range] as { readonly start: Pfn; readonly end: Pfn };
}
