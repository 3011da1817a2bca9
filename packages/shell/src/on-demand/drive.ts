// Drives a task of a shell on a host that has events of its own: a key, a reader that closed its end, code that arrives. Other than
// run() it pauses for them, and waits for programs that are loaded on demand.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import { CodeWait } from "./on-demand.ts";

/** Steps between two looks at the clock, and milliseconds between two pauses. */
const STEPS_PER_LOOK = 64;
const MS_PER_TURN = 20;

/**
 * Runs a task to its end while no other task of its machine runs. Timers of the machine expire at once.
 *
 * @param pause lets the host handle its events; the next timer of the host where it is absent
 * @throws KernelBug when the task waits and no other task is left to wake it; and the error that the task throws
 */
export async function drive<T>(task: Sleeps<T>, pause: () => Promise<void> = nextTimer): Promise<T> {
  let paused = performance.now();
  // Ends: with the task; ^C ends that of a shell between two of its commands.
  for (let step = 1; ; step++) {
    const { done, value } = task.next();
    if (done) return value;
    if (value instanceof CodeWait) await value.settled;
    else if (!value.ready()) {
      if (!value.timer) throw new KernelBug(`nobody is left to wake the task that waits for ${value.why}`);
      value.timer.expire();
    }
    if (step % STEPS_PER_LOOK !== 0 || performance.now() - paused < MS_PER_TURN) continue;
    await pause();
    paused = performance.now();
  }
}

function nextTimer(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve));
}
