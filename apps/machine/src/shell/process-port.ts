// A port: what a machine does when a program starts and ends. A real one gives each process an address space and a
// stack, and takes them back; a shell that runs on a bare file system has nobody to tell.
// Kernel counterparts: kernel_clone() in kernel/fork.c, do_exit() in kernel/exit.c.
import type { Sleeps } from "@hetmem/kernel";
import type { UserSpace } from "./user-space.ts";

/** Programs that run, each the parent of the next. */
export type RunningPrograms = readonly object[];

export interface ProcessPort {
  /** A process begins: a subshell, or a program by its name. @throws KernelError ENOMEM, EAGAIN: it doesn't */
  fork(name: string): Sleeps<RunningProcess>;
  /** What programs about processes work with; absent where there are none. */
  readonly userSpace?: UserSpace;
  /** The programs that run in this task; absent where none is a process. */
  readonly running?: RunningPrograms;
  /** Another stage of a pipeline goes on: these are the programs that run in this task now. */
  resume?(programs: RunningPrograms): void;
  /** Processes that were sent a deadly signal die of it, but for those that run: they see it between two commands. */
  reap?(): Sleeps<void>;
}

export interface RunningProcess {
  /** The number of the deadly signal that it got; undefined as long as it got none. @see get_signal() in kernel/signal.c */
  readonly deadlySignal: number | undefined;
  /** It ends. */
  exit(): Sleeps<void>;
}

const GONE: RunningProcess = { deadlySignal: undefined, *exit() {} };

/** Processes that cost nothing. */
export const NO_PROCESSES: ProcessPort = {
  *fork() {
    return GONE;
  },
};
