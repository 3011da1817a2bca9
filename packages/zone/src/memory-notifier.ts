// Who is told before and after memory goes online or offline. A listener may refuse a change that is about to happen.
// Kernel counterpart: register_memory_notifier() in drivers/base/memory.c.
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
  /** The node that gets its first or loses its last memory by this. */
  readonly statusChangeNode: NodeId | undefined;
  /** The same for memory below ZONE_MOVABLE. */
  readonly statusChangeNodeNormal: NodeId | undefined;
}

/** Throws KernelError in a GOING action to refuse it. */
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
