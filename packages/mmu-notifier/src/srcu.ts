// Sleepable RCU: readers may sleep, and a writer waits for the readers that were inside before it. Callbacks of
// notifiers run as readers, so that a task that unregisters a notifier knows when no callback of it runs any more.
// Kernel counterpart: kernel/rcu/srcutree.c; one instance for all address spaces, as in mm/mmu_notifier.c.
import { KernelBug, type Sleeps, WaitQueue } from "@hetmem/kernel";

/** A domain of sleepable RCU. @see struct srcu_struct */
export class Srcu {
  /** Numbers of the readers that are inside, in the order in which they entered. */
  private readonly readers: Set<number> = new Set();
  private readonly queue: WaitQueue = new WaitQueue("readers of srcu");
  private readonly deferred: { readonly before: number; readonly call: () => void }[] = [];
  private last = 0;

  /**
   * Enters as a reader.
   *
   * @returns the number to pass to readUnlock()
   * @see srcu_read_lock()
   */
  readLock(): number {
    this.readers.add(++this.last);
    return this.last;
  }

  /**
   * Leaves as a reader.
   *
   * @throws KernelBug if that reader isn't inside
   * @see srcu_read_unlock()
   */
  readUnlock(reader: number): void {
    if (!this.readers.delete(reader))
      throw new KernelBug(`reader ${reader} of srcu ends what it never began`);
    while (this.deferred.length > 0 && this.quiescent((this.deferred[0] as { before: number }).before))
      this.deferred.shift()?.call();
  }

  /** Waits until the readers that are inside now have left. Later readers aren't waited for. @see synchronize_srcu() */
  *synchronize(): Sleeps<void> {
    const before = this.last;
    yield* this.queue.waitEvent(() => this.quiescent(before));
  }

  /** Calls back when the readers that are inside now have left: at once if there are none. @see call_srcu() */
  call(call: () => void): void {
    if (this.readers.size === 0) call();
    else this.deferred.push({ before: this.last, call });
  }

  /** Whether all readers up to a number have left. */
  private quiescent(before: number): boolean {
    for (const reader of this.readers) return reader > before;
    return true;
  }
}
