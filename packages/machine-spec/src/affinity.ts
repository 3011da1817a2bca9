// The two nodes of device memory: `target_node`, which the firmware names and the memory belongs to once it is RAM, and
// `numa_node`, the nearest node that is online at boot. Kernel counterparts: phys_to_target_node() in arch/x86/mm/numa.c,
// numa_map_to_online_node() in drivers/acpi/numa/srat.c.
import type { MachineSpec, MemoryRange } from "./machine-spec.ts";

export interface NodesOfDevice {
  /** -1 if unknown. */
  readonly numaNode: number;
  readonly targetNode: number;
}

/** The nodes of a range that isn't RAM at boot. */
export function nodesOfDevice(
  spec: Pick<MachineSpec, "affinity" | "nodes" | "distances">,
  range: MemoryRange,
): NodesOfDevice {
  const known = (spec.affinity ?? []).find(({ start, end }) => start <= range.start && range.start < end);
  const targetNode = known?.node ?? -1;
  return { targetNode, numaNode: known?.numaNode ?? nearestOnlineNode(spec, targetNode) };
}

/**
 * The node itself if it is online at boot, else the nearest that is, the first of those as near.
 *
 * @param node a node's number; -1 gives -1
 */
function nearestOnlineNode(
  { nodes, distances }: Pick<MachineSpec, "nodes" | "distances">,
  node: number,
): number {
  const from = nodes.findIndex(({ id }) => id === node);
  if (from < 0) return -1;
  let nearest = -1;
  let least = Number.POSITIVE_INFINITY;
  nodes.forEach(({ id, memory, cpus }, to) => {
    const distance = to === from ? 0 : (distances[from]?.[to] ?? Number.POSITIVE_INFINITY);
    if (memory.length + cpus.length === 0 || distance >= least) return;
    nearest = id;
    least = distance;
  });
  return nearest;
}
