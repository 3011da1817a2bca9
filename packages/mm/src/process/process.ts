// A process with one thread: its ids, address space, limits and signals. Processes of the model handle no signal, so
// any fatal signal ends the process on the return to user mode. Kernel counterpart: struct task_struct in
// include/linux/sched.h, as far as memory is concerned.
import { acrossCopies, type Page, type Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Credentials } from "./credentials.ts";
import type { Rlimits } from "./rlimits.ts";
import { type Signal, SIGNAL_NUMBERS } from "./signal.ts";

/** Limits and credentials of a process. A child inherits both. */
export interface ProcessRights {
  readonly rlimits: Rlimits;
  readonly credentials: Credentials;
}

/** A process. @see struct task_struct */
export class Process implements ProcessRights {
  static {
    acrossCopies(this, "Process");
  }

  readonly pid: number;
  readonly parent: Process | undefined;
  /** Name of the command, at most 15 characters. */
  comm: string;
  /** Command line, with the command first. @see /proc/PID/cmdline */
  argv: readonly string[];
  /** The address space; undefined once the process has exited. */
  mm: MmStruct | undefined;
  /** -1000 (never killed by the OOM killer) to 1000. @see /proc/PID/oom_score_adj */
  oomScoreAdj = 0;
  /** Delivered signals, in order. */
  readonly signals: Signal[] = [];
  /**
   * Number of the first fatal signal. The model's processes handle no signal.
   *
   * @see group_exit_code in include/linux/sched/signal.h
   */
  deadlySignal: number | undefined = undefined;
  /** SIGKILL is pending: the process exits on its return to user mode. @see fatal_signal_pending() */
  killed = false;
  readonly rlimits: Rlimits;
  /** Capabilities of the process. */
  credentials: Credentials;
  /** Pages of the kernel stack. */
  kernelStack: readonly Page[] = [];
  /** Whether SIGBUS for bad memory is sent when the failure is found, rather than on access. @see PR_MCE_KILL_EARLY */
  mceKillEarly = false;
  /**
   * Release functions of open files, called at exit. A driver drops the process's pins and mirrors there.
   *
   * @see exit_files()
   */
  readonly closing: Set<() => Sleeps<void>> = new Set();

  /** @param begins initial limits and credentials, those of the parent */
  constructor(pid: number, comm: string, mm: MmStruct, parent: Process | undefined, begins: ProcessRights) {
    this.pid = pid;
    this.comm = comm.slice(0, 15);
    this.argv = [comm];
    this.mm = mm;
    this.parent = parent;
    this.rlimits = begins.rlimits.copy();
    this.credentials = begins.credentials;
  }

  /** Delivers a signal that the kernel forces on the process. @see force_sig_fault() */
  deliver(signal: Signal): void {
    this.signals.push(signal);
    this.deadlySignal ??= SIGNAL_NUMBERS[signal.signo];
    if (signal.signo === "SIGKILL") this.killed = true;
  }

  /**
   * Sends a fatal signal from another process. The signal acts as SIGKILL, since no process handles signals.
   *
   * @param number signal number, above 0
   * @see complete_signal() in kernel/signal.c
   */
  end(number: number): void {
    this.deadlySignal ??= number;
    this.killed = true;
  }
}
