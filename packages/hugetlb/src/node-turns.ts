// Whose turn it is among nodes, so that a pool has as many pages on each. Kernel counterpart: next_nid_to_alloc and
// hstate_next_node_to_alloc() in mm/hugetlb.c.
import type { NodeId } from "@hetmem/kernel";

export class NodeTurns {
  private next = 0;

  /** Each of some nodes once, from the one whose turn it is. Whoever stops leaves the turn to the one after his. */
  *round(nodes: readonly NodeId[]): Generator<NodeId, void, void> {
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes.find((candidate) => candidate >= this.next) ?? (nodes[0] as NodeId);
      this.next = node + 1;
      yield node;
    }
  }
}
