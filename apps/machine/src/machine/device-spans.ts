// Device memory that drivers of a captured host had mapped, and that no driver of the machine maps: ZONE_DEVICE and the node span
// it from the first, and nothing is allocated from it. Kernel counterpart: the ZONE_DEVICE branch of pagemap_range() in
// mm/memremap.c.
import { PAGE_SIZE, physToPfn } from "@hetmem/kernel";
import type { DeviceSpan } from "@hetmem/machine-spec";
import { type Memory, resizeZoneRange, ZoneType } from "@hetmem/zone";

export function spanDeviceMemory(memory: Memory, spans: readonly DeviceSpan[]): void {
  for (const { node, start, end } of spans) {
    const zone = memory.nodes[node]?.zones[ZoneType.Device];
    const first = physToPfn(start);
    if (zone) resizeZoneRange(memory, zone, first, Math.ceil(end / PAGE_SIZE) - first);
  }
}
