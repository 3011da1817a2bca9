// Simulated time. The clock advances only when a path reports that it took time, or when all tasks sleep and the next
// timer is due. A run therefore never depends on the speed of the host. Kernel counterpart:
// kernel/time/timekeeping.c.
import type { Sleeps } from "./task.ts";

/** Port: the time of a machine. */
export interface Clock {
  /** Nanoseconds since boot. Never falls. */
  readonly nowNs: number;
  /** Advances the clock by `ns` nanoseconds, the time that an operation took. */
  advance(ns: number): void;
  /**
   * Sleeps for `ns` nanoseconds. The wait carries its deadline, so that the scheduler can advance to it when all tasks sleep.
   *
   * @see schedule_timeout() in kernel/time/timer.c
   */
  sleep(ns: number): Sleeps<void>;
}

/** A clock that begins at 0. */
export class SimulatedClock implements Clock {
  #nowNs = 0;

  get nowNs(): number {
    return this.#nowNs;
  }

  advance(ns: number): void {
    this.#nowNs += ns;
  }

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
