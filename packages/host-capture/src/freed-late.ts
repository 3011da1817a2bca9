// How many pages of each zone a host's boot freed last: its initrd, and what only the boot needs of the kernel. The
// watermarks and the lowmem reserves were set before that, so they tell: a reserve is a 256th of the zones above it, and
// watermarks share one number by the zones' sizes. Kernel counterparts: setup_per_zone_lowmem_reserve() and
// setup_per_zone_wmarks() in mm/page_alloc.c.
import type { HostZone } from "./zoneinfo.ts";

/** sysctl_lowmem_reserve_ratio of ZONE_DMA and ZONE_DMA32. */
const RESERVE_RATIO = 256;
const ZONES_IN_ORDER = ["DMA", "DMA32", "Normal", "Movable"];

/** Pages freed late by zone, in the order of the zones given; zeros where the host doesn't tell. */
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

/** What the reserves of its node's lowest zone say that a zone had: the middle of what rounds to them. */
function sizeByReserve(zone: HostZone, zones: readonly HostZone[]): number | undefined {
  const dma = zones.find((candidate) => candidate.node === zone.node && candidate.name === "DMA");
  const at = ZONES_IN_ORDER.indexOf(zone.name);
  const upTo = dma?.protection[at] ?? 0;
  const below = dma?.protection[at - 1] ?? 0;
  return at > 0 && upTo > below ? (upTo - below) * RESERVE_RATIO + RESERVE_RATIO / 2 : undefined;
}
