// Any-order placement with one mistake each. Every one breaks one obligation, and no other.
import { nodeId } from "@hetmem/kernel";
import { anyOrderPlacement, type Placement, zoneOfNode, ZoneType } from "@hetmem/zone";
import type { PlacementUnderTest } from "../src/placement/index.ts";

const { zoneFor } = anyOrderPlacement;

/** Takes every range for memory of node 0. */
const forgetsTheNode: Partial<Placement> = {
  zoneFor: (memory, type, request) => zoneFor(memory, type, { ...request, node: nodeId(0) }),
};

/** Gives memory below 4 GiB to DMA32, even for online_movable. */
const savesLowMemory: Partial<Placement> = {
  zoneFor(memory, type, request) {
    const kernelZone = zoneFor(memory, "online_kernel", request);
    return kernelZone?.type === ZoneType.DMA32 ? kernelZone : zoneFor(memory, type, request);
  },
};

/** Takes the lowest kernel zone that has memory. */
const fillsTheLowestZone: Partial<Placement> = {
  zoneFor(memory, type, request) {
    const dma32 = zoneOfNode(memory, request.node, ZoneType.DMA32);
    const zone = zoneFor(memory, type, request);
    return zone?.type === ZoneType.Normal && dma32.populated ? dma32 : zone;
  },
};

/** Lists the kernel zone first, whatever plain `online` means. */
const listsByKind: Partial<Placement> = {
  validZones: (memory, request) =>
    (["online_kernel", "online_movable"] as const).flatMap((type) => zoneFor(memory, type, request) ?? []),
};

/** Lists the default alone. */
const listsTheDefault: Partial<Placement> = {
  validZones: (memory, request) => [zoneFor(memory, "online", request) ?? []].flat(),
};

/** Sets the node online, to look at its zones. */
const opensTheNode: Partial<Placement> = {
  zoneFor(memory, type, request) {
    const node = memory.nodes[request.node];
    if (node) node.online = true;
    return zoneFor(memory, type, request);
  },
};

/** Answers with Movable once it was asked twenty times about a range. */
function losesPatience(): Partial<Placement> {
  const asked = new Map<number, number>();
  return {
    zoneFor(memory, type, request) {
      const times = (asked.get(request.start) ?? 0) + 1;
      if (type === "online") asked.set(request.start, times);
      const isOther = type === "online" && times > 20;
      const other =
        zoneFor(memory, "online", request)?.type === ZoneType.Movable ? "online_kernel" : "online_movable";
      return zoneFor(memory, isOther ? other : type, request);
    },
  };
}

let machines = 0;

/** Prefers Movable on every other machine. */
function alternates(): Partial<Placement> {
  const isOdd = machines++ % 2 === 1;
  return {
    zoneFor: (memory, type, request) =>
      zoneFor(memory, isOdd && type === "online" ? "online_movable" : type, request),
  };
}

/** Prefers Movable from the time on at which a node has some. */
function remembersMovable(): Partial<Placement> {
  let seen = false;
  return {
    zoneFor(memory, type, request) {
      seen ||= zoneOfNode(memory, request.node, ZoneType.Movable).populated;
      return zoneFor(memory, seen && type === "online" ? "online_movable" : type, request);
    },
  };
}

/** Waits for zones that it can grow. */
const refusesEmptyNodes: Partial<Placement> = {
  zoneFor: (memory, type, request) =>
    memory.nodes[request.node]?.spannedPages === 0 ? undefined : zoneFor(memory, type, request),
};

/** Doesn't know devices that plug memory in units. */
const refusesUnits: Partial<Placement> = {
  zoneFor: (memory, type, request) =>
    request.group?.kind.type === "dynamic" ? undefined : zoneFor(memory, type, request),
};

/** Looks at the struct pages of the range. */
const needsStructPages: Partial<Placement> = {
  zoneFor: (memory, type, request) =>
    memory.memmap.pfnValid(request.start) ? zoneFor(memory, type, request) : undefined,
};

/** Has no kernel memory on a node once some of it is movable. */
const closesTheKernelZones: Partial<Placement> = {
  zoneFor(memory, type, request) {
    const isClosed = zoneOfNode(memory, request.node, ZoneType.Movable).populated;
    if (isClosed && type === "online_kernel") return undefined;
    return zoneFor(memory, isClosed ? "online_movable" : type, request);
  },
};

function broken(name: string, make: () => Partial<Placement>): PlacementUnderTest {
  return { name, placement: () => ({ ...anyOrderPlacement, name, ...make() }) };
}

/** The obligation, and a placement that breaks it. */
export const BROKEN: readonly (readonly [obligation: string, placement: PlacementUnderTest])[] = [
  ["answers a zone of the block's node", broken("forgetsTheNode", () => forgetsTheNode)],
  ["keeps the kind that is asked for", broken("savesLowMemory", () => savesLowMemory)],
  ["keeps DMA zones below their limits", broken("fillsTheLowestZone", () => fillsTheLowestZone)],
  ["lists the zone of plain online first", broken("listsByKind", () => listsByKind)],
  ["lists what it allows and no more", broken("listsTheDefault", () => listsTheDefault)],
  ["changes nothing when it is asked", broken("opensTheNode", () => opensTheNode)],
  ["answers alike when it is asked again", broken("losesPatience", losesPatience)],
  ["answers from the state alone", broken("alternates", alternates)],
  ["answers from the state alone", broken("remembersMovable", remembersMovable)],
  ["places the first memory of a node", broken("refusesEmptyNodes", () => refusesEmptyNodes)],
  ["places memory of every device", broken("refusesUnits", () => refusesUnits)],
  ["places memory before it is there", broken("needsStructPages", () => needsStructPages)],
  ["takes back what it gave", broken("closesTheKernelZones", () => closesTheKernelZones)],
];
