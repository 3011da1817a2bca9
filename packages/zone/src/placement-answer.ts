// Asks a placement policy and checks the answer, before anything is changed: a policy may come from outside, and a block in
// a wrong zone would break the allocator long after. The kernel has its policies built in and checks none.
import { KernelBug, KernelError } from "@hetmem/kernel";
import { allZones, type Memory } from "./memory.ts";
import type { OnlineType, Placement, PlacementRequest } from "./placement.ts";
import { zoneTypeEnd } from "./zone-sizes.ts";
import { ZoneType } from "./zone-type.ts";
import type { Zone } from "./zone.ts";

/**
 * The zone that a block goes to; undefined when the policy forbids it.
 *
 * @throws KernelError an errno of the policy's own
 * @throws KernelBug that names the policy, for a zone that the range can't be in and for any other error of the policy
 */
export function zoneToOnline(
  placement: Placement,
  memory: Memory,
  type: OnlineType,
  request: PlacementRequest,
): Zone | undefined {
  const zone = answerOf(placement, "zoneFor", () => placement.zoneFor(memory, type, request));
  if (zone === undefined) return undefined;
  const fault = faultOf(memory, request, zone) ?? wrongKind(type, zone);
  if (fault !== undefined) throw wrongAnswer(placement, `${type} of ${rangeOf(request)}`, fault);
  return zone;
}

/**
 * The zones that a block may go to.
 *
 * @throws KernelError an errno of the policy's own
 * @throws KernelBug as zoneToOnline() does
 */
export function zonesToList(
  placement: Placement,
  memory: Memory,
  request: PlacementRequest,
): readonly Zone[] {
  const zones = answerOf(placement, "validZones", () => placement.validZones(memory, request));
  for (const zone of zones) {
    const fault = faultOf(memory, request, zone);
    if (fault !== undefined) throw wrongAnswer(placement, `valid_zones of ${rangeOf(request)}`, fault);
  }
  return zones;
}

function answerOf<T>({ name }: Placement, asked: "zoneFor" | "validZones", ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    if (error instanceof KernelError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new KernelBug(`${asked}() of the placement policy "${name}" failed: ${reason}`, { cause: error });
  }
}

function wrongAnswer({ name }: Placement, question: string, fault: string): KernelBug {
  return new KernelBug(`the placement policy "${name}" answers ${question} with ${fault}`);
}

/** The reason why a range can't be in a zone. */
function faultOf(memory: Memory, { node, start, pages }: PlacementRequest, zone: Zone): string | undefined {
  if (![...allZones(memory)].includes(zone)) return "a value that is no zone of this machine";
  const named = `${zone.name} of node ${zone.node}`;
  if (zone.node !== node) return `${named}, and the range is on node ${node}`;
  if (zone.type === ZoneType.Device) return `${named}, which has device memory only`;
  const end = zoneTypeEnd(zone.type);
  if (start + pages > end) return `${named}, which ends at frame 0x${end.toString(16)}`;
  return undefined;
}

function wrongKind(type: OnlineType, { name, type: zone }: Zone): string | undefined {
  if (type === "online") return undefined;
  const isMovable = zone === ZoneType.Movable;
  return isMovable === (type === "online_movable") ? undefined : `${name}, a zone of the other kind`;
}

function rangeOf({ start, pages }: PlacementRequest): string {
  return `frames 0x${start.toString(16)}-0x${(start + pages - 1).toString(16)}`;
}
