// The one idea of this code base: the type says whether a path may sleep. A plain function is atomic; a generator
// function may be preempted at each of its yields. run() drives one straight to its end, a Scheduler drives many.
// Kernel counterpart: might_sleep(), cond_resched() and schedule().
import { KernelBug } from "./error.ts";

/** What a task yields: a place where others may run, and when this one may go on. Shared and frozen, so that a yield allocates nothing. */
export interface Preempt {
  /** For reports: "mutex mem_hotplug_lock". */
  readonly why: string;
  /** Whether the task can go on now. */
  ready(): boolean;
  /** A sleep that ends by itself has the timer that ends it. */
  readonly timer?: Timer;
}

/** A point of simulated time that a sleeper waits for. */
export interface Timer {
  readonly deadlineNs: number;
  /** Moves the clock to the deadline: what an idle machine does. */
  expire(): void;
}

/** A path that may sleep and returns T. Call it with `yield*`, or with run() where nobody else runs. */
export type Sleeps<T> = Generator<Preempt, T, void>;

/** A place where another task may run although this one could go on. */
export const condResched: Preempt = Object.freeze({ why: "cond_resched", ready: () => true });

/**
 * Drives a task to its end when nobody contends.
 *
 * @throws KernelBug when the task waits for something that nobody is there to give
 */
export function run<T>(task: Sleeps<T>): T {
  // Ends: with the task; one that waits for another task is a bug.
  for (;;) {
    const step = task.next();
    if (step.done) return step.value;
    const preempt = step.value;
    if (preempt.ready()) continue;
    if (preempt.timer) preempt.timer.expire();
    else throw new KernelBug(`nobody is left to wake the task that waits for ${preempt.why}`);
  }
}
