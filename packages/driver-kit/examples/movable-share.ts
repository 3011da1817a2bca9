// An online policy: Movable has at most a share of a node's memory, in percent. See docs/ports/online-policy.md.
import { defaultKernelZone, type OnlinePolicy, uintParameter, zoneOfNode, ZoneType } from "@hetmem/zone";

/** /sys/module/memory_hotplug/parameters/movable_share */
export const movableShare = uintParameter("movable_share", 50);

export const shareOfNode: OnlinePolicy = {
  name: "share-of-node",
  parameters: [movableShare],
  zoneFor({ memory, parameters }, request) {
    const zones = memory.nodes[request.node]?.zones ?? [];
    const present = zones.reduce((pages, zone) => pages + zone.presentPages, request.pages);
    const movable = zoneOfNode(memory, request.node, ZoneType.Movable);
    const share = (movable.presentPages + request.pages) / present;
    return share * 100 <= parameters.get(movableShare) ? movable : defaultKernelZone(memory, request);
  },
};
