// The queue of partially unmapped huge pages. An unmapped part stays allocated until its page is split, which is
// deferred until memory is short: see deferred-split-scan.ts. A page leaves the queue when it is split or freed.
// Kernel counterpart: deferred_split_huge_page() in mm/huge_memory.c.
import type { Page } from "@hetmem/kernel";
import { VmEvent } from "@hetmem/zone";
import type { Vm } from "../vm.ts";

/** Heads of the queued huge pages, oldest first. @see struct deferred_split */
export class DeferredSplits {
  private readonly queue = new Set<Page>();

  /** Queues a page. @returns whether it was not queued already */
  add(head: Page): boolean {
    if (this.queue.has(head)) return false;
    this.queue.add(head);
    return true;
  }

  /** Removes a page that is being freed or has been split. */
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

/** Queues a huge page for a split. @see deferred_split_huge_page() */
export function deferSplit(vm: Vm, head: Page): void {
  if (vm.deferredSplits.add(head)) vm.memory.allocator.countEvent(VmEvent.thp_deferred_split_page, 1);
}
