// Sleeping locks. A task that can't take a lock yields until it can, and the driver of the tasks (run() or a
// Scheduler) decides which waiter gets the lock. Kernel counterparts: kernel/locking/mutex.c, kernel/locking/rwsem.c.
import { KernelBug } from "./error.ts";
import type { Lockdep, LockHolder } from "./lockdep.ts";
import { condResched, type Preempt, type Sleeps } from "./task.ts";

/** @see struct mutex in include/linux/mutex.h */
export class Mutex {
  readonly name: string;
  readonly #lockdep: Lockdep;
  readonly #wait: Preempt;
  #owner: LockHolder | undefined;

  constructor(lockdep: Lockdep, name: string) {
    this.name = name;
    this.#lockdep = lockdep;
    this.#wait = Object.freeze({ why: `mutex ${name}`, ready: () => this.#owner === undefined });
  }

  *lock(): Sleeps<void> {
    this.#lockdep.acquiring(this.name);
    yield condResched;
    while (!this.#wait.ready()) yield this.#wait;
    this.#take();
  }

  tryLock(): boolean {
    if (this.#owner) return false;
    this.#take();
    return true;
  }

  unlock(): void {
    if (this.#owner !== this.#lockdep.current) {
      throw new KernelBug(
        `${this.#lockdep.current.name} unlocks ${this.name}, held by ${this.#owner?.name ?? "nobody"}`,
      );
    }
    this.#owner = undefined;
    this.#lockdep.released(this.name);
  }

  get locked(): boolean {
    return this.#owner !== undefined;
  }

  /** Whether the running task holds the mutex. */
  get heldByCurrent(): boolean {
    return this.#owner === this.#lockdep.current;
  }

  #take(): void {
    this.#owner = this.#lockdep.current;
    this.#lockdep.acquired(this.name);
  }
}

/**
 * Many readers or one writer. A waiting writer holds off new readers.
 *
 * @see struct rw_semaphore in include/linux/rwsem.h
 */
export class RwSemaphore {
  readonly name: string;
  readonly #lockdep: Lockdep;
  readonly #readWait: Preempt;
  readonly #writeWait: Preempt;
  #readers = 0;
  #writer: LockHolder | undefined;
  #waitingWriters = 0;

  constructor(lockdep: Lockdep, name: string) {
    this.name = name;
    this.#lockdep = lockdep;
    this.#readWait = Object.freeze({
      why: `read ${name}`,
      ready: () => !this.#writer && this.#waitingWriters === 0,
    });
    this.#writeWait = Object.freeze({
      why: `write ${name}`,
      ready: () => !this.#writer && this.#readers === 0,
    });
  }

  *downRead(): Sleeps<void> {
    this.#lockdep.acquiring(this.name);
    yield condResched;
    while (!this.#readWait.ready()) yield this.#readWait;
    this.#takeRead();
  }

  tryDownRead(): boolean {
    if (!this.#readWait.ready()) return false;
    this.#takeRead();
    return true;
  }

  upRead(): void {
    if (this.#readers === 0)
      throw new KernelBug(`${this.#lockdep.current.name} ends a read of ${this.name} that nobody began`);
    this.#lockdep.released(this.name);
    this.#readers--;
  }

  *downWrite(): Sleeps<void> {
    this.#lockdep.acquiring(this.name);
    yield condResched;
    this.#waitingWriters++;
    try {
      while (!this.#writeWait.ready()) yield this.#writeWait;
    } finally {
      this.#waitingWriters--;
    }
    this.#writer = this.#lockdep.current;
    this.#lockdep.acquired(this.name);
  }

  upWrite(): void {
    if (this.#writer !== this.#lockdep.current) {
      throw new KernelBug(
        `${this.#lockdep.current.name} ends a write of ${this.name}, held by ${this.#writer?.name ?? "nobody"}`,
      );
    }
    this.#writer = undefined;
    this.#lockdep.released(this.name);
  }

  get writeLocked(): boolean {
    return this.#writer !== undefined;
  }

  get readers(): number {
    return this.#readers;
  }

  /** Whether the running task holds the semaphore for writing. */
  get writtenByCurrent(): boolean {
    return this.#writer === this.#lockdep.current;
  }

  #takeRead(): void {
    this.#readers++;
    this.#lockdep.acquired(this.name);
  }
}
