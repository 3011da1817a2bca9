// A placement policy: memory of nodes without CPUs is movable, so that it can be unplugged. See docs/ports/placement.md.
import { anyOrderPlacement, defaultFirst, type Placement, zoneOfNode, ZoneType } from "@hetmem/zone";

export const movableWithoutCpus: Placement = {
  name: "movable-without-cpus",
  zoneFor(memory, type, request) {
    const hasCpus = memory.nodes[request.node]?.cpus.length !== 0;
    if (hasCpus) return anyOrderPlacement.zoneFor(memory, type, request);
    return type === "online_kernel" ? undefined : zoneOfNode(memory, request.node, ZoneType.Movable);
  },
  validZones: (memory, request) => defaultFirst(movableWithoutCpus, memory, request),
};
