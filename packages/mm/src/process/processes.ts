// The processes of a machine, by number. Kernel counterpart: kernel/pid.c.
import { KernelError } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import { Process, type ProcessRights } from "./process.ts";

const FIRST_PID = 2;

/** A port: who hears of processes as they begin and end, as cgroups must. @see cgroup_post_fork(), cgroup_exit() */
export interface ProcessListener {
  /** @param parent undefined: nobody forked it */
  began(process: Process, parent: Process | undefined): void;
  ended(process: Process): void;
}

export class Processes {
  /** Undefined as long as nobody asked. */
  listener: ProcessListener | undefined = undefined;
  private readonly byPid = new Map<number, Process>();
  private nextPid = FIRST_PID;
  /** The limits and rights of process 1, which processes begin with that nobody forked. */
  readonly init: ProcessRights;

  constructor(init: ProcessRights) {
    this.init = init;
  }

  /**
   * Enters a process that runs in an address space.
   *
   * @param begins whose limits and rights it begins with; its parent's, or those of process 1, when absent
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

  /** @throws KernelError ESRCH */
  get(pid: number): Process {
    const process = this.byPid.get(pid);
    if (!process)
      throw new KernelError("ESRCH", `no process ${pid}: the pids are ${[...this.byPid.keys()].join(", ")}`);
    return process;
  }

  find(pid: number): Process | undefined {
    return this.byPid.get(pid);
  }

  /** Those that run in an address space. */
  *of(mm: MmStruct): Generator<Process, void, void> {
    for (const process of this) if (process.mm === mm) yield process;
  }

  [Symbol.iterator](): Iterator<Process> {
    return this.byPid.values();
  }
}
