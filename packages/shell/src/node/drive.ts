// Drives a script in Node, with pauses in which Node handles its events. An error of the machine, or of hetmem itself, becomes a
// sentence.
import { KernelBug, KernelError, type Sleeps } from "@hetmem/kernel";
import { HostMemoryError } from "@hetmem/page";
import { drive } from "../on-demand/drive.ts";
import type { Terminal } from "../streams.ts";

/** The exit status of a script that a bug of the machine, or of hetmem, ended. */
export const BROKEN_STATUS = 1;

/** @throws KernelBug when the task waits and no other task is left to wake it */
export function driveOnNode<T>(task: Sleeps<T>): Promise<T> {
  return drive(task, () => new Promise((resolve) => void setImmediate(resolve)));
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
