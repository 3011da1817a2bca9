// Which nodes are fast and which are slow, and where pages of one go when it is full: to the nearest node of the next
// slower tier. Kernel counterpart: mm/memory-tiers.c (6.1), node_demotion in mm/migrate.c before. Boot memory without cpus
// counts as slow here, as it did before 6.1; since then its driver says how far away it is: setAdistance().
import type { NodeId } from "@hetmem/kernel";
import type { Memory, MemoryNode } from "@hetmem/zone";

/** How slow DRAM is, in abstract units. @see MEMTIER_ADISTANCE_DRAM in include/linux/memory-tiers.h */
export const MEMTIER_ADISTANCE_DRAM = 576;
/** What the kmem driver says of its memory. @see MEMTIER_DEFAULT_DAX_ADISTANCE in drivers/dax/kmem.c */
export const MEMTIER_ADISTANCE_SLOW: number = MEMTIER_ADISTANCE_DRAM * 5;
/** Nodes whose distances fall into the same chunk are of one tier. @see MEMTIER_CHUNK_SIZE */
const MEMTIER_CHUNK_SIZE = 128;

export class MemoryTiers {
  private readonly memory: Memory;
  private readonly adistances = new Map<NodeId, number>();
  /** Demotions so far: targets that are as near as each other take turns, where the kernel throws dice. */
  private turns = 0;

  constructor(memory: Memory) {
    this.memory = memory;
  }

  /** Says how slow a node's memory is: what a driver does that brings it. @see init_node_memory_type() */
  setAdistance(node: NodeId, adistance: number): void {
    this.adistances.set(node, adistance);
  }

  /** Forgets it: what the driver does when its memory has gone. @see clear_node_memory_type() */
  clearAdistance(node: NodeId): void {
    this.adistances.delete(node);
  }

  /** The nodes with memory by tier, the fastest first. @see memory_tiers */
  get tiers(): readonly (readonly MemoryNode[])[] {
    const byChunk = new Map<number, MemoryNode[]>();
    for (const node of this.memory.nodes) {
      if (node === undefined || node.presentPages === 0) continue;
      const chunk = this.tierId(node);
      const tier = byChunk.get(chunk);
      if (tier) tier.push(node);
      else byChunk.set(chunk, [node]);
    }
    return [...byChunk].sort(([a], [b]) => a - b).map(([, nodes]) => nodes);
  }

  /** The number in the name of a node's tier: memory_tier4 is DRAM's. */
  tierId(node: MemoryNode): number {
    return Math.floor(this.adistance(node) / MEMTIER_CHUNK_SIZE);
  }

  /** Whether pages of a node have nowhere to be promoted to: its tier, or a slower one, has cpus. @see node_is_toptier() */
  isToptier(node: NodeId): boolean {
    const { tiers } = this;
    const slowestWithCpus = tiers.findLastIndex((nodes) => nodes.some(({ cpus }) => cpus.length > 0));
    const tier = tiers.findIndex((nodes) => nodes.some(({ id }) => id === node));
    return tier <= slowestWithCpus;
  }

  /** Where a node's cold pages go first, undefined for a node of the slowest tier. @see next_demotion_node() */
  nextDemotionNode(node: NodeId): NodeId | undefined {
    const [next] = this.slowerThan(node);
    if (next === undefined) return undefined;
    const distances = next.map(({ id }) => this.memory.distance(node, id));
    const nearest = next.filter((_, i) => distances[i] === Math.min(...distances));
    return nearest[this.turns++ % nearest.length]?.id;
  }

  /** All nodes of slower tiers. @see node_get_allowed_targets() */
  allowedTargets(node: NodeId): NodeId[] {
    return this.slowerThan(node).flatMap((nodes) => nodes.map(({ id }) => id));
  }

  private adistance(node: MemoryNode): number {
    const said = this.adistances.get(node.id);
    return said ?? (node.cpus.length > 0 ? MEMTIER_ADISTANCE_DRAM : MEMTIER_ADISTANCE_SLOW);
  }

  private slowerThan(node: NodeId): readonly (readonly MemoryNode[])[] {
    const { tiers } = this;
    const tier = tiers.findIndex((nodes) => nodes.some(({ id }) => id === node));
    return tier < 0 ? [] : tiers.slice(tier + 1);
  }
}
