// Drives a script as run() does, with pauses in which Node handles the events of the host: a key, a reader that closed its
// end. An error of the machine, or of hetmem itself, becomes a sentence.
import { KernelBug, KernelError, type Sleeps } from "@hetmem/kernel";
import { HostMemoryError } from "@hetmem/page";
import type { Terminal } from "../streams.ts";

/** Steps between two looks at the clock, and milliseconds between two pauses. */
const STEPS_PER_LOOK = 64;
const MS_PER_TURN = 20;
/** The exit status of a script that a bug of the machine, or of hetmem, ended. */
export const BROKEN_STATUS = 1;

/** @throws KernelBug when the task waits and no other task is left to wake it */
export async function drive<T>(task: Sleeps<T>): Promise<T> {
  let paused = performance.now();
  // Ends: with the task; ^C ends that between two of its commands.
  for (let step = 1; ; step++) {
    const { done, value } = task.next();
    if (done) return value;
    if (!value.ready()) {
      if (!value.timer) throw new KernelBug(`nobody is left to wake the task that waits for ${value.why}`);
      value.timer.expire();
    }
    if (step % STEPS_PER_LOOK !== 0 || performance.now() - paused < MS_PER_TURN) continue;
    await new Promise((resolve) => setImmediate(resolve));
    paused = performance.now();
  }
}

/** Prints why a script ended before its last command. */
export function tellBroken(error: unknown, terminal: Terminal): void {
  terminal.err(`${sentenceOf(error)}\n`);
}

function sentenceOf(error: unknown): string {
  if (error instanceof KernelBug) return `kernel BUG: ${error.message}`;
  if (error instanceof KernelError) return `sh: ${error.reason}`;
  if (error instanceof HostMemoryError)
    return `sh: ${error.message}: raise the limit (ulimit -v) or use less at a time`;
  const words = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (error instanceof RangeError)
    return `sh: the host has no room for what this asks of it (${words}): ask for less at a time`;
  return `sh: hetmem itself has a fault here (${words}): please report it with what you typed`;
}
