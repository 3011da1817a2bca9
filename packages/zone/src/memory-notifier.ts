// Notifiers that are called before and after memory goes online or offline. A listener can refuse the change before
// it happens. Kernel counterpart: register_memory_notifier() in drivers/base/memory.c.
import type { NodeId, Pfn, Sleeps } from "@hetmem/kernel";

export type MemoryAction =
  | "MEM_GOING_ONLINE"
  | "MEM_ONLINE"
  | "MEM_CANCEL_ONLINE"
  | "MEM_GOING_OFFLINE"
  | "MEM_OFFLINE"
  | "MEM_CANCEL_OFFLINE";

/** @see struct memory_notify in include/linux/memory.h */
export interface MemoryNotify {
  readonly start: Pfn;
  readonly pages: number;
  /** The node that gets its first memory or loses its last; undefined when none does. */
  readonly statusChangeNode: NodeId | undefined;
  /** The node that gets its first memory below ZONE_MOVABLE or loses its last; undefined when none does. */
  readonly statusChangeNodeNormal: NodeId | undefined;
}

/** To refuse a change, a listener throws a KernelError at the GOING action. */
export type MemoryListener = (action: MemoryAction, notify: MemoryNotify) => Sleeps<void>;

export class MemoryNotifiers {
  readonly #listeners = new Set<MemoryListener>();

  register(listener: MemoryListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  *call(action: MemoryAction, notify: MemoryNotify): Sleeps<void> {
    for (const listener of this.#listeners) yield* listener(action, notify);
  }
}
