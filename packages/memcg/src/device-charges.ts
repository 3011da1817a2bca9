// Pages of devices are on no list of anybody's: no reclaim ever finds them, and one whose process goes on using it could
// keep a removed cgroup for ever. So they are never a removed cgroup's: its parent pays for them from the moment it goes,
// as it does for the kernel's memory, and for those that still reach the device in its name. The kernel goes less far:
// memcg_reparent_objcgs() in mm/memcontrol.c is about the kernel's memory alone.
import type { Page, Pfn } from "@hetmem/kernel";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm";
import { NULL_PAGE, PAGES_PER_SECTION } from "@hetmem/page";
import { allZones, NodeStat, ZoneType } from "@hetmem/zone";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";

/** All pages of devices that a cgroup pays for become those of the nearest one above that is still there. */
export function reparentDevicePages(cgroups: MemoryCgroups, cgroup: MemoryCgroup): void {
  const { ids } = cgroups;
  if (ids.pages[cgroup.id] === 0) return;
  for (const page of devicePagesOf(cgroups, cgroup)) handUp(cgroups, cgroup, page);
}

/** The same for one page, if it is a device's, that has just become a removed cgroup's: there is nobody else to find it. */
export function reparentIfDevice(cgroups: MemoryCgroups, cgroup: MemoryCgroup, page: Page): void {
  if (cgroups.memory.memmap.zoneOf(page) !== ZoneType.Device) return;
  handUp(cgroups, cgroup, page);
  cgroups.freeIfUnused(cgroup);
}

/** Only where device memory is, so that a removal costs the same on a machine without, however large. */
function* devicePagesOf(
  { memory, owners }: MemoryCgroups,
  { id }: MemoryCgroup,
): Generator<Page, void, void> {
  const { memmap } = memory;
  for (const zone of allZones(memory)) {
    if (zone.type !== ZoneType.Device) continue;
    const end = zone.startPfn + zone.spannedPages;
    const first = zone.startPfn - (zone.startPfn % PAGES_PER_SECTION);
    for (let pfn = first; pfn < end; pfn += PAGES_PER_SECTION) {
      if (memmap.isDeferred(pfn / PAGES_PER_SECTION)) continue;
      const base = memmap.pfnToPage(pfn as Pfn);
      if (base === NULL_PAGE) continue;
      const section = owners.subarray(base, base + PAGES_PER_SECTION);
      for (let at = section.indexOf(id); at >= 0; at = section.indexOf(id, at + 1)) {
        const page = (base + at) as Page;
        if (memmap.zoneOf(page) === ZoneType.Device && memmap.nodeOf(page) === zone.node) yield page;
      }
    }
  }
}

/** The counters above have it already; the root's don't have what is its own. */
function handUp({ ids, owners, stats, vm }: MemoryCgroups, from: MemoryCgroup, page: Page): void {
  const to = from.onlineOrAbove;
  const item = mappedItem(vm.memmap, page);
  const node = vm.memmap.nodeOf(page);
  if (item !== undefined) stats.page(page, node, item, -1);
  owners[page] = to.id;
  if (item !== undefined) stats.page(page, node, item, 1);
  ids.pages[from.id] = (ids.pages[from.id] as number) - 1;
  ids.pages[to.id] = (ids.pages[to.id] as number) + 1;
  for (const at of from.upwards()) {
    if (at === to && !to.isRoot) break;
    at.memory.cancel(1);
  }
}

/** What a page of a device is counted as: they are in no file's cache, and in nobody's swap cache. */
function mappedItem(memmap: MemoryCgroups["memory"]["memmap"], page: Page): number | undefined {
  if (pageMapcount(memmap, page) === 0) return undefined;
  return (memmap.mapping(page) & MAPPING_ANON) === 0 ? NodeStat.nr_mapped : NodeStat.nr_anon_pages;
}
