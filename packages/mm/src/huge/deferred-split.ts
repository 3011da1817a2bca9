// Huge pages of which a part is mapped by nobody any more: the part is lost to everybody until the page is divided, and
// that can wait until memory is short. Kernel counterpart: deferred_split_huge_page() in
// mm/huge_memory.c.
import type { Page } from "@hetmem/kernel";
import { VmEvent } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Heads, the one that has waited longest first. @see struct deferred_split */
export class DeferredSplits {
  private readonly queue = new Set<Page>();

  /** @returns whether it did not wait already */
  add(head: Page): boolean {
    if (this.queue.has(head)) return false;
    this.queue.add(head);
    return true;
  }

  /** The page is being freed, or was divided. */
  forget(head: Page): void {
    this.queue.delete(head);
  }

  has(head: Page): boolean {
    return this.queue.has(head);
  }

  [Symbol.iterator](): Iterator<Page> {
    return this.queue.values();
  }
}

/** @see deferred_split_huge_page() */
export function deferSplit(vm: Vm, head: Page): void {
  if (vm.deferredSplits.add(head)) vm.memory.allocator.countEvent(VmEvent.thp_deferred_split_page, 1);
}
