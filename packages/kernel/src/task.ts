// The type says whether a path may sleep. A plain function is atomic; a generator function may be preempted at each
// of its yields. run() drives one task to its end, a Scheduler interleaves several. Kernel counterparts:
// might_sleep(), cond_resched() and schedule().
import { KernelBug } from "./error.ts";

/**
 * The value that a task yields at a preemption point: its wait condition. Shared and frozen, so that a yield
 * allocates nothing.
 */
export interface Preempt {
  /** The awaited event, for reports: "mutex mem_hotplug_lock". */
  readonly why: string;
  /** Whether the task is runnable now. */
  ready(): boolean;
  /** The timer of a sleep that ends at a deadline. */
  readonly timer?: Timer;
}

/** A deadline in simulated time. */
export interface Timer {
  readonly deadlineNs: number;
  /** Advances the clock to the deadline. Called when all tasks sleep. */
  expire(): void;
}

/** A path that may sleep and returns T. Call it with `yield*`, or with run() when no other task runs. */
export type Sleeps<T> = Generator<Preempt, T, void>;

/** A preemption point at which the task stays runnable. */
export const condResched: Preempt = Object.freeze({ why: "cond_resched", ready: () => true });

/**
 * Drives a task to its end while no other task runs. Timers expire at once.
 *
 * @throws KernelBug when the task waits for another task; and the error that the task throws
 */
export function run<T>(task: Sleeps<T>): T {
  // Ends: with the task; a wait for another task throws.
  for (;;) {
    const step = task.next();
    if (step.done) return step.value;
    const preempt = step.value;
    if (preempt.ready()) continue;
    if (preempt.timer) preempt.timer.expire();
    else throw new KernelBug(`nobody is left to wake the task that waits for ${preempt.why}`);
  }
}
