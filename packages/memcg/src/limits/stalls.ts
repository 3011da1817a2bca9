// Memory stall times of cgroups, on the simulated clock. Kernel counterparts: psi_memstall_enter() and
// psi_memstall_leave() in kernel/sched/psi.c.
import { PressureGroup } from "@hetmem/cgroup";
import type { Sleeps } from "@hetmem/kernel";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

export class Stalls {
  private readonly memcgs: MemoryCgroups;
  /** Pressure of the cgroups in which a task has stalled, or of which the file was read. */
  private readonly pressure = new WeakMap<MemoryCgroup, PressureGroup>();

  constructor(memcgs: MemoryCgroups) {
    this.memcgs = memcgs;
  }

  /** Runs `wait` as a memory stall of a task in the cgroup. */
  *during<T>(cgroup: MemoryCgroup, wait: Sleeps<T>): Sleeps<T> {
    for (const at of cgroup.upwards()) this.of(at).enter(this.nowNs);
    try {
      return yield* wait;
    } finally {
      for (const at of cgroup.upwards()) this.of(at).leave(this.nowNs);
    }
  }

  /** The text of memory.pressure. @see psi_show() */
  text(cgroup: MemoryCgroup): string {
    return this.of(cgroup).show(this.nowNs);
  }

  /** Total stall time of a cgroup in nanoseconds. */
  stalledNs(cgroup: MemoryCgroup): number {
    return this.of(cgroup).stalledNs(this.nowNs);
  }

  private of(cgroup: MemoryCgroup): PressureGroup {
    const known = this.pressure.get(cgroup);
    if (known) return known;
    const group = new PressureGroup(this.nowNs);
    this.pressure.set(cgroup, group);
    return group;
  }

  private get nowNs(): number {
    return this.memcgs.vm.kernel.clock.nowNs;
  }
}
