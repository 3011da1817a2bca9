// A port: what a machine does when a program starts and ends. A real one gives each process an address space and a
// stack, and takes them back; a shell that runs on a bare file system has nobody to tell.
// Kernel counterparts: kernel_clone() in kernel/fork.c, do_exit() in kernel/exit.c.
import type { Sleeps } from "@hetmem/kernel";
import type { UserSpace } from "./user-space.ts";

export interface ProcessPort {
  /** A process begins: a subshell, or a program by its name. @throws KernelError ENOMEM, EAGAIN: it doesn't */
  fork(name: string): Sleeps<RunningProcess>;
  /** What programs about processes work with; absent where there are none. */
  readonly userSpace?: UserSpace;
}

export interface RunningProcess {
  /** It ends. @returns whether it had been killed before */
  exit(): Sleeps<boolean>;
}

const GONE: RunningProcess = {
  *exit() {
    return false;
  },
};

/** Processes that cost nothing. */
export const NO_PROCESSES: ProcessPort = {
  *fork() {
    return GONE;
  },
};
