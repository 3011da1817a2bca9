// Wait queues and completions. Kernel counterparts: kernel/sched/wait.c and kernel/sched/completion.c.
import type { Preempt, Sleeps } from "./task.ts";

/**
 * Tasks that wait for conditions. There are no wake-ups to lose: run() and Scheduler evaluate the condition
 * themselves.
 */
export class WaitQueue {
  readonly name: string;
  #waiting = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** @see wait_event() in include/linux/wait.h */
  *waitEvent(condition: () => boolean): Sleeps<void> {
    if (condition()) return;
    const wait: Preempt = { why: this.name, ready: condition };
    this.#waiting++;
    try {
      while (!condition()) yield wait;
    } finally {
      this.#waiting--;
    }
  }

  /** @see waitqueue_active() in include/linux/wait.h */
  get active(): boolean {
    return this.#waiting > 0;
  }
}

/**
 * An event that wakes one waiter per complete(), or all after completeAll().
 *
 * @see struct completion in include/linux/completion.h
 */
export class Completion {
  readonly #queue: WaitQueue;
  #done = 0;

  constructor(name: string) {
    this.#queue = new WaitQueue(`completion ${name}`);
  }

  complete(): void {
    this.#done++;
  }

  completeAll(): void {
    this.#done = Number.POSITIVE_INFINITY;
  }

  *wait(): Sleeps<void> {
    yield* this.#queue.waitEvent(() => this.#done > 0);
    this.#done--;
  }

  reinit(): void {
    this.#done = 0;
  }

  get done(): boolean {
    return this.#done > 0;
  }
}
