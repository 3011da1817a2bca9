// Bad memory that no task was reading when it showed up. Its finder holds locks, so that it is handled once no task has the
// processor. Kernel counterpart: memory_failure_queue() and memory_failure_work_func() in mm/memory-failure.c.
import { KernelError, PAGE_SIZE, type Pfn, type Sleeps } from "@hetmem/kernel";
import type { MemoryFailure } from "@hetmem/zone";

export class MemoryFailureQueue {
  readonly #failure: MemoryFailure;
  /** Frames, each once, in the order in which they showed up. */
  readonly #frames = new Set<Pfn>();

  constructor(failure: MemoryFailure) {
    this.#failure = failure;
  }

  /** @param start first byte @param end byte behind the last */
  add(start: number, end: number): void {
    for (let frame = Math.floor(start / PAGE_SIZE); frame * PAGE_SIZE < end; frame++)
      this.#frames.add(frame as Pfn);
  }

  /** Takes all of it out of use. Refusals are logged: no caller waits for an answer. */
  *work(): Sleeps<void> {
    for (const frame of this.#frames) {
      this.#frames.delete(frame);
      try {
        yield* this.#failure.hardOffline(frame);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
      }
    }
  }
}
