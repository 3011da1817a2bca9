// Reparenting of device pages. Device pages are on no LRU list, so reclaim can't free them, and one in use could keep
// a removed cgroup for ever. Device pages are therefore reparented when their cgroup is removed, and so are pages
// that migrate to a device later while charged to a removed cgroup. The kernel reparents kernel memory only:
// memcg_reparent_objcgs() in mm/memcontrol.c.
import type { Page, Pfn } from "@hetmem/kernel";
import { MAPPING_ANON, pageMapcount } from "@hetmem/mm/rmap";
import { NULL_PAGE, PAGES_PER_SECTION } from "@hetmem/page";
import { allZones, NodeStat, ZoneType } from "@hetmem/zone";
import type { MemoryCgroup } from "./memory-cgroup.ts";
import type { MemoryCgroups } from "./memory-cgroups.ts";

/** Moves the charges of all device pages of a cgroup to the nearest online ancestor. */
export function reparentDevicePages(cgroups: MemoryCgroups, cgroup: MemoryCgroup): void {
  const { ids } = cgroups;
  if (ids.pages[cgroup.id] === 0) return;
  for (const page of devicePagesOf(cgroups, cgroup)) handUp(cgroups, cgroup, page);
}

/**
 * Reparents one page, if it is a device page, that was just charged to a removed cgroup: nothing else would find it
 * later.
 */
export function reparentIfDevice(cgroups: MemoryCgroups, cgroup: MemoryCgroup, page: Page): void {
  if (cgroups.memory.memmap.zoneOf(page) !== ZoneType.Device) return;
  handUp(cgroups, cgroup, page);
  cgroups.freeIfUnused(cgroup);
}

/**
 * The device pages charged to a cgroup. Scans only ZONE_DEVICE, so a removal costs nothing on a machine without
 * device memory.
 */
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

/**
 * Moves the charge of a page to the nearest online ancestor. The ancestors' counters contain it already. The root's
 * own charges aren't counted.
 */
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

/** The node counter of a device page; device pages are never in the page or swap cache. */
function mappedItem(memmap: MemoryCgroups["memory"]["memmap"], page: Page): number | undefined {
  if (pageMapcount(memmap, page) === 0) return undefined;
  return (memmap.mapping(page) & MAPPING_ANON) === 0 ? NodeStat.nr_mapped : NodeStat.nr_anon_pages;
}
