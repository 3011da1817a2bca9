// Device memory that drivers had mapped before anybody could type. Its zone spans it; nobody allocates from it. Drivers
// that are part of the machine do this through memremap; this is for those that a captured host had and the machine has not.
import { PAGE_SIZE, type Pfn } from "@hetmem/kernel";
import { type Memory, ZoneType } from "@hetmem/zone";
import type { DeviceSpan } from "../spec/machine-spec.ts";

export function spanDeviceMemory(memory: Memory, spans: readonly DeviceSpan[]): void {
  for (const { node, start, end } of spans) {
    const zone = memory.nodes[node]?.zones[ZoneType.Device];
    if (!zone) continue;
    const first = Math.floor(start / PAGE_SIZE);
    const last = Math.ceil(end / PAGE_SIZE);
    const spanEnd = zone.empty ? last : Math.max(zone.endPfn, last);
    zone.startPfn = (zone.empty ? first : Math.min(zone.startPfn, first)) as Pfn;
    zone.spannedPages = spanEnd - zone.startPfn;
  }
}
