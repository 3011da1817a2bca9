// Placement policies: the zone of a block that goes online. The kernel's rule changed twice, so a profile chooses one
// of three: strict order, any order, or a ratio. Kernel counterpart: zone_for_pfn_range() in mm/memory_hotplug.c.
import { KernelBug, type NodeId, type Pfn } from "@hetmem/kernel";
import type { MemoryGroup, MemoryGroups } from "./memory-group.ts";
import { allZones, type Memory } from "./memory.ts";
import type { Zone } from "./zone.ts";
import { ZoneType } from "./zone-type.ts";

/** The ways to online a block, as written to its `state` file. @see MMOP_ONLINE in include/linux/memory_hotplug.h */
export type OnlineType = "online" | "online_kernel" | "online_movable";

/** The range of a block that goes online. */
export interface PlacementRequest {
  readonly node: NodeId;
  readonly start: Pfn;
  readonly pages: number;
  readonly group: MemoryGroup | undefined;
}

export interface Placement {
  readonly name: string;
  /** The zone of the range; undefined when the policy forbids the request. */
  zoneFor(memory: Memory, type: OnlineType, request: PlacementRequest): Zone | undefined;
  /** The zones in the valid_zones file of an offline block, the default first. */
  validZones(memory: Memory, request: PlacementRequest): readonly Zone[];
}

/**
 * ZONE_NORMAL and ZONE_MOVABLE of a node don't overlap, and Normal has the lower addresses. Plain `online` means a
 * kernel zone where that is allowed, else Movable.
 *
 * @see f1dd2cd13c4b ("mm, memory_hotplug: do not associate hotadded memory to zones until online")
 */
export const strictPlacement: Placement = {
  name: "strict",
  zoneFor(memory, type, request) {
    const normal = zoneOf(memory, request.node, ZoneType.Normal);
    const movable = zoneOf(memory, request.node, ZoneType.Movable);
    const kernelAllowed = movable.empty || movable.startPfn >= request.start + request.pages;
    const movableAllowed = normal.empty || normal.endPfn <= request.start;
    if (type === "online_movable") return movableAllowed ? movable : undefined;
    if (kernelAllowed) return kernelZoneFor(memory, request);
    return type === "online" && movableAllowed ? movable : undefined;
  },
  validZones(memory, request) {
    return (["online_kernel", "online_movable"] as const).flatMap(
      (type) => this.zoneFor(memory, type, request) ?? [],
    );
  },
};

/**
 * Any block may go to either zone. Plain `online` means the zone whose span overlaps the range. When both spans or
 * neither overlap it, plain `online` means a kernel zone, or Movable with `movable_node`.
 *
 * @see c6f03e2903c9 ("mm, memory_hotplug: remove zone restrictions")
 */
export const anyOrderPlacement: Placement = {
  name: "any-order",
  zoneFor(memory, type, request) {
    const kernelZone = kernelZoneFor(memory, request);
    const movable = zoneOf(memory, request.node, ZoneType.Movable);
    if (type === "online_kernel") return kernelZone;
    if (type === "online_movable") return movable;
    const inKernel = kernelZone.intersects(request.start, request.pages);
    const inMovable = movable.intersects(request.start, request.pages);
    if (inKernel !== inMovable) return inKernel ? kernelZone : movable;
    return memory.movableNode ? movable : kernelZone;
  },
  validZones: defaultFirst,
};

/** Parameters of the module memory_hotplug, writable at any time. */
export interface OnlinePolicyParameters {
  /** `contig-zones` is any-order placement. */
  online_policy: "contig-zones" | "auto-movable";
  /** Most movable memory, in percent of boot-time kernel memory. */
  auto_movable_ratio: number;
  /** Whether the ratio must also hold on the block's node. */
  auto_movable_numa_aware: boolean;
}

/**
 * Any-order placement, unless online_policy is auto-movable. Then plain `online` means Movable as long as the ratio
 * of movable to boot-time kernel memory holds, and a kernel zone otherwise.
 *
 * @see e83a437faa62 ("mm/memory_hotplug: introduce "auto-movable" online policy")
 */
export function onlinePolicyPlacement(parameters: OnlinePolicyParameters, groups: MemoryGroups): Placement {
  return {
    name: "online-policy",
    zoneFor(memory, type, request) {
      if (type !== "online" || parameters.online_policy === "contig-zones") {
        return anyOrderPlacement.zoneFor(memory, type, request);
      }
      return autoMovableAllows(memory, request, parameters, groups.dynamic())
        ? zoneOf(memory, request.node, ZoneType.Movable)
        : kernelZoneFor(memory, request);
    },
    validZones: defaultFirst,
  };
}

function defaultFirst(this: Placement, memory: Memory, request: PlacementRequest): readonly Zone[] {
  const zones = (["online", "online_kernel", "online_movable"] as const).flatMap(
    (type) => this.zoneFor(memory, type, request) ?? [],
  );
  return [...new Set(zones)];
}

/** DMA or DMA32 when its span overlaps the range, else Normal. @see default_kernel_zone_for_pfn() */
function kernelZoneFor(memory: Memory, { node, start, pages }: PlacementRequest): Zone {
  for (const type of [ZoneType.DMA, ZoneType.DMA32]) {
    const zone = zoneOf(memory, node, type);
    if (zone.intersects(start, pages)) return zone;
  }
  return zoneOf(memory, node, ZoneType.Normal);
}

/** @see auto_movable_zone_for_pfn() */
function autoMovableAllows(
  memory: Memory,
  { node, pages, group }: PlacementRequest,
  { auto_movable_ratio: ratio, auto_movable_numa_aware: numaAware }: OnlinePolicyParameters,
  dynamicGroups: readonly MemoryGroup[],
): boolean {
  if (ratio === 0) return false;
  let needed = pages;
  if (group?.kind.type === "static") {
    // Once a part of a DIMM is in a kernel zone, the rest goes there too.
    if (group.presentKernelPages > 0) return false;
    needed = group.kind.maxPages - group.presentMovablePages;
  } else if (group) {
    needed = Math.max(group.kind.type === "dynamic" ? group.kind.unitPages : pages, pages);
  }
  const others = dynamicGroups.filter((other) => other !== group);
  const zones = [...allZones(memory)].filter((zone) => zone.populated);
  if (!keepsRatio(zones, others, group, needed, ratio)) return false;
  if (!numaAware) return true;
  const here = (candidate: { readonly node: NodeId }): boolean => candidate.node === node;
  return keepsRatio(zones.filter(here), others.filter(here), group, needed, ratio);
}

/** @see auto_movable_can_online_movable() */
function keepsRatio(
  zones: readonly Zone[],
  otherGroups: readonly MemoryGroup[],
  group: MemoryGroup | undefined,
  pages: number,
  ratio: number,
): boolean {
  let kernelEarly = 0;
  let movable = 0;
  for (const zone of zones) {
    if (zone.type === ZoneType.Movable) movable += zone.presentPages;
    else kernelEarly += zone.presentEarlyPages;
  }
  let claimed = 0;
  for (const other of otherGroups) {
    claimed += Math.max(Math.floor((other.presentMovablePages * 100) / ratio) - other.presentKernelPages, 0);
    movable -= other.presentMovablePages;
  }
  if (kernelEarly <= claimed) return false;
  kernelEarly -= claimed;
  if (group?.kind.type === "dynamic") kernelEarly += group.presentKernelPages;
  return movable + pages <= Math.floor((ratio * kernelEarly) / 100);
}

function zoneOf(memory: Memory, node: NodeId, type: ZoneType): Zone {
  const zone = memory.nodes[node]?.zones[type];
  if (!zone) throw new KernelBug(`node ${node} does not exist`);
  return zone;
}
