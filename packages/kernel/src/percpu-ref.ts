// A reference that is cheap while its object lives and exact once it is being torn down. One cpu's worth of it is
// modelled, since tasks interleave only at their yields: the states are what matters here. Kernel counterpart:
// lib/percpu-refcount.c.
import { KernelBug } from "./error.ts";
import type { Sleeps } from "./task.ts";
import { WaitQueue } from "./wait.ts";

export class PercpuRef {
  readonly name: string;
  readonly #queue: WaitQueue;
  readonly #release: () => void;
  // Not #held: V8 reads a private name at half the speed of a field.
  private held = 1;
  private killed = false;

  /** Starts live, with the owner's reference. @param release called once, at the last put */
  constructor(name: string, release: () => void = () => {}) {
    this.name = name;
    this.#queue = new WaitQueue(`the last reference of ${name}`);
    this.#release = release;
  }

  /** Takes a reference on something that the caller already keeps alive. */
  get(): void {
    this.getMany(1);
  }

  /** @see percpu_ref_get_many() in include/linux/percpu-refcount.h */
  getMany(references: number): void {
    if (this.held <= 0) throw new KernelBug(`percpu_ref_get of ${this.name}, which is gone`);
    this.held += references;
  }

  /** Takes a reference unless the last one has gone. A dying object still gives one. */
  tryget(): boolean {
    if (this.held === 0) return false;
    this.held++;
    return true;
  }

  /** Takes a reference unless the object has been killed. */
  trygetLive(): boolean {
    if (this.killed || this.held === 0) return false;
    this.held++;
    return true;
  }

  /** Gives a reference back. The owner's own goes with kill(). */
  put(): void {
    this.putMany(1);
  }

  /** @see percpu_ref_put_many() in include/linux/percpu-refcount.h */
  putMany(references: number): void {
    if (references === 0) return;
    if (this.held - references < (this.killed ? 0 : 1))
      throw new KernelBug(`percpu_ref_put of ${this.name} without a reference`);
    this.held -= references;
    if (this.held === 0) this.#release();
  }

  /** Gives up the owner's reference: from here on trygetLive() fails. */
  kill(): void {
    if (this.killed) throw new KernelBug(`percpu_ref_kill of ${this.name} twice`);
    this.killed = true;
    this.put();
  }

  /** Waits until the last user is gone. Call kill() first. */
  *waitForZero(): Sleeps<void> {
    yield* this.#queue.waitEvent(() => this.held === 0);
  }

  get dying(): boolean {
    return this.killed;
  }

  get isZero(): boolean {
    return this.held === 0;
  }

  /** References held now, the owner's among them while the object lives. */
  get count(): number {
    return this.held;
  }
}
