// Memory tiers as an administrator lists them: node numbers, the fastest tier first. See docs/ports/tiers.md.
import type { NodeId } from "@hetmem/kernel";
import type { MemoryTier, MemoryTiers } from "@hetmem/mm/ports";
import type { Memory } from "@hetmem/zone";

/** @param order tiers of nodes, the fastest first; a node that isn't listed is in the last */
export function tiersByNode(memory: Memory, order: readonly (readonly number[])[]): MemoryTiers {
  const rankOf = (node: NodeId): number => {
    const listed = order.findIndex((nodes) => nodes.includes(node));
    return listed < 0 ? order.length - 1 : listed;
  };
  const hasMemory = (node: NodeId): boolean => (memory.nodes[node]?.presentPages ?? 0) > 0;
  const all = (): NodeId[] => memory.nodes.flatMap((node) => (node && hasMemory(node.id) ? [node.id] : []));
  const slowerThan = (node: NodeId): NodeId[] =>
    hasMemory(node) ? all().filter((other) => rankOf(other) > rankOf(node)) : [];
  return {
    get tiers(): readonly MemoryTier[] {
      return order
        .map((_, id) => ({ id, nodes: all().filter((node) => rankOf(node) === id) }))
        .filter(({ nodes }) => nodes.length > 0);
    },
    setAdistance: () => {},
    clearAdistance: () => {},
    isToptier: (node) => all().every((other) => rankOf(other) >= rankOf(node)),
    nextDemotionNode: (node) => slowerThan(node).sort((a, b) => rankOf(a) - rankOf(b))[0],
    allowedTargets: slowerThan,
  };
}
