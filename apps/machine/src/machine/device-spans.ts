// Device memory that drivers had mapped before anybody could type. Its zone and its node span it; nobody allocates from it.
// Drivers that are part of the machine do this through memremap; this is for those that a captured host had and the machine
// has not.
import { PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { type Memory, ZoneType } from "@hetmem/zone";
import type { DeviceSpan } from "@hetmem/machine-spec";

export function spanDeviceMemory(memory: Memory, spans: readonly DeviceSpan[]): void {
  for (const { node: id, start, end } of spans) {
    const node = memory.nodes[id];
    const zone = node?.zones[ZoneType.Device];
    if (!zone) continue;
    const first = Math.floor(start / PAGE_SIZE);
    const last = Math.ceil(end / PAGE_SIZE);
    extend(zone, first, last);
    extend(node, first, last);
  }
}

/** @see resize_zone_range() and resize_pgdat_range() in mm/memory_hotplug.c */
function extend(span: { startPfn: Pfn; spannedPages: number }, first: number, last: number): void {
  const empty = span.spannedPages === 0;
  const start = empty ? first : Math.min(span.startPfn, first);
  const end = empty ? last : Math.max(span.startPfn + span.spannedPages, last);
  span.startPfn = start as Pfn;
  span.spannedPages = end - start;
}
