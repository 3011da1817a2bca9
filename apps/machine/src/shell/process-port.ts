// A port: what a machine does when a program starts and ends. A real one gives each process a stack, a page table and
// a task_struct, and takes them back; a shell that runs on a bare file system has nobody to tell.
// Kernel counterparts: kernel_clone() in kernel/fork.c, do_exit() in kernel/exit.c.

export interface ProcessPort {
  /** A process begins: a subshell, or a program by its name. @throws KernelError ENOMEM, EAGAIN: it doesn't */
  fork(name: string): RunningProcess;
}

export interface RunningProcess {
  exit(): void;
}

const GONE: RunningProcess = { exit: () => {} };

/** Processes that cost nothing. */
export const NO_PROCESSES: ProcessPort = { fork: () => GONE };
