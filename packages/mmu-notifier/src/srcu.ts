// Readers that sleep, and somebody who waits until those who read now have ended. Notifiers are called under it, so that
// who unregisters one knows that no callback runs any more. Kernel counterpart: kernel/rcu/srcutree.c; one for all
// address spaces, as mm/mmu_notifier.c has it.
import { KernelBug, type Sleeps, WaitQueue } from "@hetmem/kernel";

export class Srcu {
  /** Numbers of the readers that are inside, in the order in which they came. */
  private readonly readers: Set<number> = new Set();
  private readonly queue: WaitQueue = new WaitQueue("readers of srcu");
  private readonly deferred: { readonly before: number; readonly call: () => void }[] = [];
  private last = 0;

  /** @returns what readUnlock() wants back @see srcu_read_lock() */
  readLock(): number {
    this.readers.add(++this.last);
    return this.last;
  }

  /** @throws KernelBug when that reader isn't inside @see srcu_read_unlock() */
  readUnlock(reader: number): void {
    if (!this.readers.delete(reader))
      throw new KernelBug(`reader ${reader} of srcu ends what it never began`);
    while (this.deferred.length > 0 && this.quiescent((this.deferred[0] as { before: number }).before))
      this.deferred.shift()?.call();
  }

  /** Waits for those who are inside now, not for those who come later. @see synchronize_srcu() */
  *synchronize(): Sleeps<void> {
    const before = this.last;
    yield* this.queue.waitEvent(() => this.quiescent(before));
  }

  /** Calls once those who are inside now have left: at once when nobody is. @see call_srcu() */
  call(call: () => void): void {
    if (this.readers.size === 0) call();
    else this.deferred.push({ before: this.last, call });
  }

  /** Whether all have left who came no later than a reader. */
  private quiescent(before: number): boolean {
    for (const reader of this.readers) return reader > before;
    return true;
  }
}
