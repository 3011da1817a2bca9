// Simulated time. It moves only when a path says that it took time, or when everybody sleeps and the next timer is
// due, so that a run never depends on the speed of the machine it runs on. Kernel counterpart: kernel/time/timekeeping.c.
import type { Sleeps } from "./task.ts";

export class Clock {
  #nowNs = 0;

  /** Nanoseconds since boot. */
  get nowNs(): number {
    return this.#nowNs;
  }

  /** Says that something took this long. */
  advance(ns: number): void {
    this.#nowNs += ns;
  }

  /** Sleeps for a span of simulated time. @see schedule_timeout() in kernel/time/timer.c */
  *sleep(ns: number): Sleeps<void> {
    const deadlineNs = this.#nowNs + ns;
    const wait = {
      why: `a timer of ${ns} ns`,
      ready: () => this.#nowNs >= deadlineNs,
      timer: {
        deadlineNs,
        expire: () => {
          if (this.#nowNs < deadlineNs) this.#nowNs = deadlineNs;
        },
      },
    };
    while (!wait.ready()) yield wait;
  }
}
