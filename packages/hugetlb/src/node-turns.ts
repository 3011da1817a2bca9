// Round robin over nodes, so that the pool has equally many pages on each. A pool has one turn for allocations and one
// for frees.
// Kernel counterpart: next_nid_to_alloc and hstate_next_node_to_alloc() in mm/hugetlb.c.
import type { NodeId } from "@hetmem/kernel";

export class NodeTurns {
  /** Lowest node number that the next turn may have. */
  private next = 0;

  /**
   * Yields each of some nodes once, from the next in turn on. If the caller stops, the turn is that of the node after
   * the last one yielded.
   */
  *round(nodes: readonly NodeId[]): Generator<NodeId, void, void> {
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes.find((candidate) => candidate >= this.next) ?? (nodes[0] as NodeId);
      this.next = node + 1;
      yield node;
    }
  }
}
