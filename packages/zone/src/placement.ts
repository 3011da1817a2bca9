// Placement policies: the zone of a block that goes online. The kernel's rule changed twice, so a profile chooses one of
// three: strict order, any order, or any order with an online policy (online-policy.ts). Kernel counterpart:
// zone_for_pfn_range() in mm/memory_hotplug.c.
import type { NodeId, Pfn } from "@hetmem/kernel";
import type { MemoryGroup } from "./memory-group.ts";
import type { Memory } from "./memory.ts";
import { defaultKernelZone, defaultZone, zoneOfNode } from "./range-zone.ts";
import { ZoneType } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

/** The ways to online a block, as written to its `state` file. @see MMOP_ONLINE in include/linux/memory_hotplug.h */
export type OnlineType = "online" | "online_kernel" | "online_movable";

/** The range of a block that goes online. */
export interface PlacementRequest {
  readonly node: NodeId;
  readonly start: Pfn;
  readonly pages: number;
  /** The device that the memory belongs to. */
  readonly group: MemoryGroup | undefined;
}

/**
 * The rule that gives a block its zone. Both functions are asked at any time, also about memory that doesn't exist yet;
 * they answer from the state of zones and groups, and change nothing.
 */
export interface Placement {
  readonly name: string;
  /**
   * The zone of the range: a zone of the request's node, never Movable for `online_kernel`, always Movable for
   * `online_movable`; undefined when the policy forbids the request.
   */
  zoneFor(memory: Memory, type: OnlineType, request: PlacementRequest): Zone | undefined;
  /** The zones in the valid_zones file of an offline block: the answers of zoneFor(), that of plain `online` first. */
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
    const normal = zoneOfNode(memory, request.node, ZoneType.Normal);
    const movable = zoneOfNode(memory, request.node, ZoneType.Movable);
    const kernelAllowed = movable.empty || movable.startPfn >= request.start + request.pages;
    const movableAllowed = normal.empty || normal.endPfn <= request.start;
    if (type === "online_movable") return movableAllowed ? movable : undefined;
    if (kernelAllowed) return defaultKernelZone(memory, request);
    return type === "online" && movableAllowed ? movable : undefined;
  },
  validZones(memory, request) {
    return defaultFirst(this, memory, request);
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
    if (type === "online_kernel") return defaultKernelZone(memory, request);
    if (type === "online_movable") return zoneOfNode(memory, request.node, ZoneType.Movable);
    return defaultZone(memory, request);
  },
  validZones(memory, request) {
    return defaultFirst(this, memory, request);
  },
};

const DEFAULT_FIRST: readonly OnlineType[] = ["online", "online_kernel", "online_movable"];

/**
 * The answers of a policy's zoneFor(), that of plain `online` first and each zone once: the `validZones` of most policies.
 *
 * @see valid_zones_show() in drivers/base/memory.c
 */
export function defaultFirst(
  placement: Placement,
  memory: Memory,
  request: PlacementRequest,
): readonly Zone[] {
  const zones = DEFAULT_FIRST.flatMap((type) => placement.zoneFor(memory, type, request) ?? []);
  return [...new Set(zones)];
}
