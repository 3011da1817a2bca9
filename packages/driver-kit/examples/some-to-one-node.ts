// A demotion to one node, whatever its tier. See docs/ports/other-parts.md.
import { type NodeId, nodeId, type Page, type Sleeps } from "@hetmem/kernel";
import { demotePagesTo } from "@hetmem/migrate";
import type { Vm } from "@hetmem/mm";
import type { Demotion, DemotionCounter } from "@hetmem/mm/ports";

/** Demotes pages of node 0 to one other node, a few of each batch; the rest goes to swap. */
export class SomeToOneNode implements Demotion {
  readonly vm: Vm;
  readonly target: NodeId;
  readonly most: number;
  constructor(vm: Vm, target: NodeId, most: number) {
    [this.vm, this.target, this.most] = [vm, target, most];
  }
  canDemote(node: NodeId): boolean {
    return node === nodeId(0);
  }
  *demotePages(pages: readonly Page[], _node: NodeId, counter: DemotionCounter): Sleeps<readonly Page[]> {
    const targets = { next: this.target, allowed: [] };
    const stayed = yield* demotePagesTo(this.vm, pages.slice(0, this.most), targets, counter);
    return [...stayed, ...pages.slice(this.most)];
  }
}
