// Memory tiers by abstract distance: nodes ordered by the speed of their memory, and the demotion targets of a node, which are
// in the next slower tier. Implements the port MemoryTiers of mm. Kernel counterparts: mm/memory-tiers.c (6.1), node_demotion
// in mm/migrate.c before. Boot memory without CPUs counts as slow, as before 6.1; since then its driver reports an abstract
// distance with setAdistance().
import type { NodeId } from "@hetmem/kernel";
import type { MemoryTier, MemoryTiers } from "@hetmem/mm/ports";
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
export class AdistanceTiers implements MemoryTiers {
  private readonly memory: Memory;
  private readonly adistances = new Map<NodeId, number>();
  /** Number of demotions, by which equally near targets take turns. The kernel chooses a target at random. */
  private turns = 0;

  constructor(memory: Memory) {
    this.memory = memory;
  }

  setAdistance(node: NodeId, adistance: number): void {
    this.adistances.set(node, adistance);
  }

  clearAdistance(node: NodeId): void {
    this.adistances.delete(node);
  }

  get tiers(): readonly MemoryTier[] {
    const byId = new Map<number, NodeId[]>();
    for (const node of this.memory.nodes) {
      if (node === undefined || node.presentPages === 0) continue;
      const id = Math.floor(this.adistance(node) / MEMTIER_CHUNK_SIZE);
      const tier = byId.get(id);
      if (tier) tier.push(node.id);
      else byId.set(id, [node.id]);
    }
    return [...byId].sort(([a], [b]) => a - b).map(([id, nodes]) => ({ id, nodes }));
  }

  /** Whether a node is in a tier with CPUs, or in a faster one. @see node_is_toptier() */
  isToptier(node: NodeId): boolean {
    const { tiers } = this;
    const hasCpus = (id: NodeId): boolean => (this.memory.nodes[id]?.cpus.length ?? 0) > 0;
    const slowestWithCpus = tiers.findLastIndex(({ nodes }) => nodes.some(hasCpus));
    return tiers.findIndex(({ nodes }) => nodes.includes(node)) <= slowestWithCpus;
  }

  /** The nearest node of the next slower tier; undefined in the slowest. @see next_demotion_node() */
  nextDemotionNode(node: NodeId): NodeId | undefined {
    const [next] = this.slowerThan(node);
    if (next === undefined) return undefined;
    const distances = next.nodes.map((id) => this.memory.distance(node, id));
    const nearest = next.nodes.filter((_, i) => distances[i] === Math.min(...distances));
    return nearest[this.turns++ % nearest.length];
  }

  /** All nodes of slower tiers. @see node_get_allowed_targets() */
  allowedTargets(node: NodeId): readonly NodeId[] {
    return this.slowerThan(node).flatMap(({ nodes }) => nodes);
  }

  private adistance({ id, cpus }: MemoryNode): number {
    return this.adistances.get(id) ?? (cpus.length > 0 ? MEMTIER_ADISTANCE_DRAM : MEMTIER_ADISTANCE_SLOW);
  }

  private slowerThan(node: NodeId): readonly MemoryTier[] {
    const { tiers } = this;
    const tier = tiers.findIndex(({ nodes }) => nodes.includes(node));
    return tier < 0 ? [] : tiers.slice(tier + 1);
  }
}
