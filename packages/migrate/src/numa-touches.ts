// The last accessing node of shared pages. A page mapped by several processes migrates only at the second access in a
// row from the same node, so that it doesn't bounce between two users. Kernel counterpart: _last_cpupid in struct
// page, kept for every page. Here the node is kept by mapping and index, so it survives migration of the page. An
// entry of a mapping that has gone may be taken for its successor's, which costs at most one migration.
import type { NodeId } from "@hetmem/kernel";

/** The last accessing node of each shared page. */
export class NumaTouches {
  private readonly byMapping = new Map<number, Map<number, NodeId>>();

  /**
   * Records an access.
   *
   * @returns the node of the previous access; undefined for the first one
   * @see page_cpupid_xchg_last()
   */
  exchange(mapping: number, index: number, node: NodeId): NodeId | undefined {
    let touches = this.byMapping.get(mapping);
    if (!touches) this.byMapping.set(mapping, (touches = new Map()));
    const last = touches.get(index);
    touches.set(index, node);
    return last;
  }
}
