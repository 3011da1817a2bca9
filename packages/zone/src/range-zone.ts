// The zones that a range of frames may go to, by address and by the spans of zones: what placement and online policies are
// made of. Kernel counterparts: default_kernel_zone_for_pfn() and default_zone_for_pfn() in mm/memory_hotplug.c.
import { KernelBug, type NodeId } from "@hetmem/kernel";
import type { Memory } from "./memory.ts";
import type { PlacementRequest } from "./placement.ts";
import { ZoneType } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

/**
 * A zone of a node, which may be empty.
 *
 * @throws KernelBug for a node that isn't possible on this machine
 * @see NODE_DATA() and node_zones of struct pglist_data
 */
export function zoneOfNode(memory: Memory, node: NodeId, type: ZoneType): Zone {
  const zone = memory.nodes[node]?.zones[type];
  if (!zone) throw new KernelBug(`node ${node} does not exist`);
  return zone;
}

/**
 * The kernel zone of a range: DMA or DMA32 when its span overlaps the range, else Normal.
 *
 * @see default_kernel_zone_for_pfn()
 */
export function defaultKernelZone(memory: Memory, { node, start, pages }: PlacementRequest): Zone {
  for (const type of [ZoneType.DMA, ZoneType.DMA32]) {
    const zone = zoneOfNode(memory, node, type);
    if (zone.intersects(start, pages)) return zone;
  }
  return zoneOfNode(memory, node, ZoneType.Normal);
}

/**
 * The zone whose span overlaps a range. When both the kernel zone's and Movable's or neither does, that is the kernel
 * zone, or Movable with the boot option `movable_node`.
 *
 * @see default_zone_for_pfn()
 */
export function defaultZone(memory: Memory, request: PlacementRequest): Zone {
  const kernelZone = defaultKernelZone(memory, request);
  const movable = zoneOfNode(memory, request.node, ZoneType.Movable);
  const inKernel = kernelZone.intersects(request.start, request.pages);
  const inMovable = movable.intersects(request.start, request.pages);
  if (inKernel !== inMovable) return inKernel ? kernelZone : movable;
  return memory.movableNode ? movable : kernelZone;
}
