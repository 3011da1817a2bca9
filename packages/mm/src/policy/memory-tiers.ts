// Memory tiers: nodes ordered by the speed of their memory, and the demotion targets of a node, which are in the next
// slower tier. Kernel counterparts: mm/memory-tiers.c (6.1), node_demotion in mm/migrate.c before. Boot memory
// without CPUs counts as slow, as before 6.1; since then its driver reports an abstract distance with setAdistance().
import type { NodeId } from "@hetmem/kernel";
import type { Memory, MemoryNode } from "@hetmem/zone";

/** Abstract distance of DRAM. @see MEMTIER_ADISTANCE_DRAM in include/linux/memory-tiers.h */
export const MEMTIER_ADISTANCE_DRAM = 576;
/**
 * Abstract distance that the kmem driver reports for its memory.
 *
 * @see MEMTIER_DEFAULT_DAX_ADISTANCE in drivers/dax/kmem.c
 */
export const MEMTIER_ADISTANCE_SLOW: number = MEMTIER_ADISTANCE_DRAM * 5;
/** Width of a tier in units of abstract distance. @see MEMTIER_CHUNK_SIZE */
const MEMTIER_CHUNK_SIZE = 128;

/** The memory tiers of a machine, computed from the abstract distances of its nodes. */
export class MemoryTiers {
  private readonly memory: Memory;
  private readonly adistances = new Map<NodeId, number>();
  /** Number of demotions, by which equally near targets take turns. The kernel chooses a target at random. */
  private turns = 0;

  constructor(memory: Memory) {
    this.memory = memory;
  }

  /**
   * Sets the abstract distance of a node's memory. Called by the driver that adds the memory.
   *
   * @see init_node_memory_type()
   */
  setAdistance(node: NodeId, adistance: number): void {
    this.adistances.set(node, adistance);
  }

  /**
   * Removes the abstract distance of a node. Called by the driver after its memory is gone.
   *
   * @see clear_node_memory_type()
   */
  clearAdistance(node: NodeId): void {
    this.adistances.delete(node);
  }

  /** Nodes with memory by tier, fastest tier first. @see memory_tiers */
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

  /** Number in the name of a node's tier. DRAM is in memory_tier4. */
  tierId(node: MemoryNode): number {
    return Math.floor(this.adistance(node) / MEMTIER_CHUNK_SIZE);
  }

  /** Whether pages of a node are never promoted: its tier or a slower one has CPUs. @see node_is_toptier() */
  isToptier(node: NodeId): boolean {
    const { tiers } = this;
    const slowestWithCpus = tiers.findLastIndex((nodes) => nodes.some(({ cpus }) => cpus.length > 0));
    const tier = tiers.findIndex((nodes) => nodes.some(({ id }) => id === node));
    return tier <= slowestWithCpus;
  }

  /** Demotion target of a node; undefined in the slowest tier. @see next_demotion_node() */
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
