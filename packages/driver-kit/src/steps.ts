// Whether a task ends. A task that asks for something again and again would otherwise run for ever under a kit.
import type { Sleeps } from "@hetmem/kernel";

/** Preemption points after which a task counts as endless: a hundred times the number that a request needs. */
const STEPS_MAX = 20_000;

/** Runs a task up to STEPS_MAX preemption points. @returns undefined when it takes more, and then it is given up */
export function* finishes<T>(body: Sleeps<T>): Sleeps<{ readonly result: T } | undefined> {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const step = body.next();
    if (step.done) return { result: step.value };
    yield step.value;
  }
  body.return(undefined as T);
  return undefined;
}
