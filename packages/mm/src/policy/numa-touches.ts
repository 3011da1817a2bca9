// Which node used a page last, of pages that several processes map: one moves only for the second touch in a row, so that
// it doesn't go back and forth between two who use it. Kernel counterpart: _last_cpupid in struct page, which is kept for
// every page. Kept by mapping and index here, so that it stays with what is in the page when that moves; what is left of a
// mapping that has gone may be taken for its successor's, which costs a move at most.
import type { NodeId } from "@hetmem/kernel";

export class NumaTouches {
  private readonly byMapping = new Map<number, Map<number, NodeId>>();

  /** Notes a touch. @returns the node of the touch before, undefined for the first @see page_cpupid_xchg_last() */
  exchange(mapping: number, index: number, node: NodeId): NodeId | undefined {
    let touches = this.byMapping.get(mapping);
    if (!touches) this.byMapping.set(mapping, (touches = new Map()));
    const last = touches.get(index);
    touches.set(index, node);
    return last;
  }
}
