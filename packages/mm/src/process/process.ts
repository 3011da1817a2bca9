// A process with one thread: who it is, its address space, and the signals it got. Kernel counterpart: struct
// task_struct in include/linux/sched.h, as far as memory goes.
import type { Page, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Credentials } from "./credentials.ts";
import type { Rlimits } from "./rlimits.ts";
import { type Signal, SIGNAL_NUMBERS } from "./signal.ts";

/** How much a process may have and do: a child begins with its parent's. */
export interface ProcessRights {
  readonly rlimits: Rlimits;
  readonly credentials: Credentials;
}

export class Process implements ProcessRights {
  readonly pid: number;
  readonly parent: Process | undefined;
  /** The command's name, 15 characters at most. */
  comm: string;
  /** What it was called with, the command first. @see /proc/PID/cmdline */
  argv: readonly string[];
  /** Undefined once it has exited. */
  mm: MmStruct | undefined;
  /** -1000 (never kill) to 1000. @see /proc/PID/oom_score_adj */
  oomScoreAdj = 0;
  /** In the order in which they came. */
  readonly signals: Signal[] = [];
  /** The number of the first signal that ends it: it handles none. @see group_exit_code in include/linux/sched/signal.h */
  deadlySignal: number | undefined = undefined;
  /** SIGKILL has come: it dies on its way back to user mode. @see fatal_signal_pending() */
  killed = false;
  readonly rlimits: Rlimits;
  /** What it is allowed to do. */
  credentials: Credentials;
  /** Pages of the stack that the kernel runs on for it. */
  kernelStack: readonly Page[] = [];
  /** It prefers to hear of bad memory at once. @see PR_MCE_KILL_EARLY */
  mceKillEarly = false;
  /** What its open files do when it ends: a driver's gives up the pins and mirrors that it had for the process. @see exit_files() */
  readonly closing: Set<() => Sleeps<void>> = new Set();

  /** @param begins whose limits and rights it begins with: its parent's */
  constructor(pid: number, comm: string, mm: MmStruct, parent: Process | undefined, begins: ProcessRights) {
    this.pid = pid;
    this.comm = comm.slice(0, 15);
    this.argv = [comm];
    this.mm = mm;
    this.parent = parent;
    this.rlimits = begins.rlimits.copy();
    this.credentials = begins.credentials;
  }

  /** @see force_sig_fault() */
  deliver(signal: Signal): void {
    this.signals.push(signal);
    this.deadlySignal ??= SIGNAL_NUMBERS[signal.signo];
    if (signal.signo === "SIGKILL") this.killed = true;
  }

  /**
   * Another process sends it a signal that ends who doesn't handle it, which SIGKILL stands for from then on.
   *
   * @param number above 0
   * @see complete_signal() in kernel/signal.c
   */
  end(number: number): void {
    this.deadlySignal ??= number;
    this.killed = true;
  }
}
