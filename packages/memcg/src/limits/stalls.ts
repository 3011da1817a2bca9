// How long the tasks of each cgroup have waited for memory, on the simulated clock. Kernel counterparts:
// psi_memstall_enter() and psi_memstall_leave() in kernel/sched/psi.c.
import { PressureGroup } from "@hetmem/cgroup";
import type { Sleeps } from "@hetmem/kernel";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

export class Stalls {
  private readonly memcgs: MemoryCgroups;
  /** Tasks that can run in a cgroup and below it. */
  private readonly tasks: (cgroup: MemoryCgroup) => number;
  /** Of those in which somebody has waited. */
  private readonly pressure = new WeakMap<MemoryCgroup, PressureGroup>();

  constructor(memcgs: MemoryCgroups, tasks: (cgroup: MemoryCgroup) => number) {
    this.memcgs = memcgs;
    this.tasks = tasks;
  }

  /** Runs what a task of a cgroup waits for. */
  *during<T>(cgroup: MemoryCgroup, wait: Sleeps<T>): Sleeps<T> {
    for (const at of cgroup.upwards()) this.of(at).enter(this.nowNs);
    try {
      return yield* wait;
    } finally {
      for (const at of cgroup.upwards()) this.of(at).leave(this.nowNs);
    }
  }

  /** memory.pressure. @see psi_show() */
  text(cgroup: MemoryCgroup): string {
    return this.of(cgroup).show(this.nowNs);
  }

  /** Nanoseconds in which somebody of a cgroup has waited. */
  someNs(cgroup: MemoryCgroup): number {
    return this.of(cgroup).someNs(this.nowNs);
  }

  private of(cgroup: MemoryCgroup): PressureGroup {
    const known = this.pressure.get(cgroup);
    if (known) return known;
    const group = new PressureGroup(this.nowNs, () => this.tasks(cgroup));
    this.pressure.set(cgroup, group);
    return group;
  }

  private get nowNs(): number {
    return this.memcgs.vm.kernel.clock.nowNs;
  }
}
