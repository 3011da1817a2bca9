// Pages of each zone that the boot of a host freed last: the initrd, and the init sections of the kernel. Watermarks and lowmem
// reserves were set before, so the size of a zone at that time follows from them: a reserve is a 256th of the zones above, and
// min_free_kbytes is divided by the sizes of zones. Kernel counterparts: setup_per_zone_lowmem_reserve() and
// setup_per_zone_wmarks() in mm/page_alloc.c.
import type { HostZone } from "./zoneinfo.ts";

/** sysctl_lowmem_reserve_ratio of ZONE_DMA and ZONE_DMA32. */
const RESERVE_RATIO = 256;
const ZONES_IN_ORDER = ["DMA", "DMA32", "Normal", "Movable"];

/** Pages freed late, in the order of the zones; zeros if reserves and watermarks don't show them. */
export function freedLatePages(zones: readonly HostZone[]): number[] {
  const told = zones.map((zone) => sizeByReserve(zone, zones));
  const reference = told.findIndex((size, index) => size !== undefined && (zones[index]?.min ?? 0) > 0);
  const referenceMin = zones[reference]?.min ?? 0;
  const referenceSize = told[reference];
  return zones.map((zone, index) => {
    if (referenceSize === undefined || zone.min === 0 || zone.name === "DMA") return 0;
    const size = told[index] ?? Math.round((referenceSize * (zone.min + 0.5)) / (referenceMin + 0.5));
    return Math.min(Math.max(0, zone.managed - size), zone.managed);
  });
}

/** The size of a zone from the reserves of its node's ZONE_DMA: the middle of the sizes that round to them. */
function sizeByReserve(zone: HostZone, zones: readonly HostZone[]): number | undefined {
  const dma = zones.find((candidate) => candidate.node === zone.node && candidate.name === "DMA");
  const at = ZONES_IN_ORDER.indexOf(zone.name);
  const upTo = dma?.protection[at] ?? 0;
  const below = dma?.protection[at - 1] ?? 0;
  return at > 0 && upTo > below ? (upTo - below) * RESERVE_RATIO + RESERVE_RATIO / 2 : undefined;
}
