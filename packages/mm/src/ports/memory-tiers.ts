// Port: memory tiers, nodes ordered by the speed of their memory. They say where pages are demoted to, and which nodes
// pages are promoted to. `AdistanceTiers` of the package migrate implements it. Without it all nodes are one tier.
// Kernel counterpart: include/linux/memory-tiers.h.
import type { NodeId } from "@hetmem/kernel";
import { type Memory, onlineNodes } from "@hetmem/zone";

/** Nodes with memory of about the same speed. @see struct memory_tier */
export interface MemoryTier {
  /** Number in the name of the tier: the lower, the faster. DRAM is in memory_tier4. */
  readonly id: number;
  /** Nodes with memory. */
  readonly nodes: readonly NodeId[];
}

/** The tiers of a machine. All methods are atomic. */
export interface MemoryTiers {
  /** Tiers with memory, fastest first. Each node with memory is in one of them. @see memory_tiers */
  readonly tiers: readonly MemoryTier[];
  /**
   * Takes note of the abstract distance of a node's memory, as its driver reports it. The node may have no memory yet.
   *
   * @see init_node_memory_type()
   */
  setAdistance(node: NodeId, adistance: number): void;
  /** Forgets the abstract distance of a node, whose memory its driver has removed. @see clear_node_memory_type() */
  clearAdistance(node: NodeId): void;
  /** Whether pages of a node are never promoted. @see node_is_toptier() */
  isToptier(node: NodeId): boolean;
  /** The node that pages of a node are demoted to next; undefined: none. @see next_demotion_node() */
  nextDemotionNode(node: NodeId): NodeId | undefined;
  /** Nodes that pages of a node may be demoted to when the next one is full. @see node_get_allowed_targets() */
  allowedTargets(node: NodeId): readonly NodeId[];
}

/** Number of DRAM's tier. */
const DRAM_TIER = 4;

/** One tier for all nodes: no page is demoted or promoted. */
export function oneTier(memory: Memory): MemoryTiers {
  return {
    get tiers() {
      const nodes = onlineNodes(memory).flatMap(({ id, presentPages }) => (presentPages > 0 ? [id] : []));
      return nodes.length > 0 ? [{ id: DRAM_TIER, nodes }] : [];
    },
    setAdistance: () => {},
    clearAdistance: () => {},
    isToptier: () => true,
    nextDemotionNode: () => undefined,
    allowedTargets: () => [],
  };
}
