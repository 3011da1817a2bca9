// The port to processes: a machine gives each program an address space and a stack when it starts, and takes them back when
// it ends; a shell on a bare file tree starts none. The other calls are for programs of the shell: kill, ulimit, numactl.
// Kernel counterparts: kernel_clone() in kernel/fork.c, do_exit() in kernel/exit.c, kernel/signal.c, kernel/sys.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";

/** Running programs, each the parent of the next. */
export type RunningPrograms = readonly object[];

export interface ProcessPort {
  /** Starts a process: a subshell, or a program by its name. @throws KernelError ENOMEM, EAGAIN */
  fork(name: string): Sleeps<RunningProcess>;
  /** The programs that run in the current task; absent where programs are no processes. */
  readonly running?: RunningPrograms;
  /** Another stage of a pipeline goes on: `programs` run in the current task from now on. */
  resume?(programs: RunningPrograms): void;
  /** Ends the processes that were sent a deadly signal, but for running programs: these see it between two commands. */
  reap?(): Sleeps<void>;
  /** Sends a signal; signal 0 only asks whether the process is there. @throws KernelError ESRCH @see kill(2) */
  kill?(pid: number, signal: number): Sleeps<void>;
  /** Sets the memory policy of the running program; its children inherit it. @throws KernelError EINVAL @see set_mempolicy(2) */
  setMempolicy?(policy: ProgramMempolicy): void;
  /** Limits of the running program; of the shell where none runs. */
  readonly rlimits?: ResourceLimits;
}

/** The memory policies that numactl(8) gives a program. */
export interface ProgramMempolicy {
  readonly mode: "bind" | "interleave" | "preferred" | "local";
  /** None for "local". */
  readonly nodes?: readonly NodeId[];
}

/** The resources that a process has limits of. @see include/uapi/asm-generic/resource.h */
export type ResourceName =
  | "as"
  | "core"
  | "cpu"
  | "data"
  | "fsize"
  | "locks"
  | "memlock"
  | "msgqueue"
  | "nice"
  | "nofile"
  | "nproc"
  | "rss"
  | "rtprio"
  | "rttime"
  | "sigpending"
  | "stack";

/** Infinity stands for RLIM_INFINITY. */
export interface ResourceLimit {
  readonly soft: number;
  readonly hard: number;
}

/** Limits of one process. @see prlimit(2) */
export interface ResourceLimits {
  /** The resources whose limits hold a process back on this machine; the others are kept and shown. */
  readonly honoured: ReadonlySet<ResourceName>;
  get(name: ResourceName): ResourceLimit;
  /** @throws KernelError EINVAL for a soft limit above the hard one, EPERM for a hard one that may not be raised */
  set(name: ResourceName, limit: ResourceLimit): void;
}

export interface RunningProcess {
  /** The number of the deadly signal that it was sent; undefined before that. @see get_signal() in kernel/signal.c */
  readonly deadlySignal: number | undefined;
  /** Ends the process. */
  exit(): Sleeps<void>;
}

const GONE: RunningProcess = { deadlySignal: undefined, *exit() {} };

/** Processes that cost nothing. */
export const NO_PROCESSES: ProcessPort = {
  *fork() {
    return GONE;
  },
};
