// The processes of a machine, by pid, in the order of their start. A listener, the cgroup core, is told of each start
// and exit. Process 1 isn't modelled as a process: its limits and credentials are the initial ones of processes
// without a parent. Kernel counterpart: kernel/pid.c.
import { KernelError } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { Process, type ProcessRights } from "./process.ts";

const FIRST_PID = 2;

/**
 * Port: told of the start and the end of processes, as the cgroup core must be.
 *
 * @see cgroup_post_fork(), cgroup_exit()
 */
export interface ProcessListener {
  /** @param parent undefined for a process that wasn't forked */
  began(process: Process, parent: Process | undefined): void;
  ended(process: Process): void;
}

/** All processes of a machine. */
export class Processes {
  /** Undefined when there is no listener. */
  listener: ProcessListener | undefined = undefined;
  private readonly byPid = new Map<number, Process>();
  private nextPid = FIRST_PID;
  /** Limits and credentials of process 1, which processes without a parent get. */
  readonly init: ProcessRights;

  constructor(init: ProcessRights) {
    this.init = init;
  }

  /**
   * Adds a process that runs in an address space.
   *
   * @param begins initial limits and credentials; absent: those of the parent, or of process 1
   */
  add(
    comm: string,
    mm: MmStruct,
    parent: Process | undefined,
    begins: ProcessRights = parent ?? this.init,
  ): Process {
    const process = new Process(this.nextPid++, comm, mm, parent, begins);
    mm.owner = process;
    this.byPid.set(process.pid, process);
    this.listener?.began(process, parent);
    return process;
  }

  remove(process: Process): void {
    if (this.byPid.delete(process.pid)) this.listener?.ended(process);
  }

  /** @throws KernelError ESRCH when no process has the pid */
  get(pid: number): Process {
    const process = this.byPid.get(pid);
    if (!process)
      throw new KernelError("ESRCH", `no process ${pid}: the pids are ${[...this.byPid.keys()].join(", ")}`);
    return process;
  }

  find(pid: number): Process | undefined {
    return this.byPid.get(pid);
  }

  /** The processes that run in an address space. */
  *of(mm: MmStruct): Generator<Process, void, void> {
    for (const process of this) if (process.mm === mm) yield process;
  }

  [Symbol.iterator](): Iterator<Process> {
    return this.byPid.values();
  }
}
