// Memory as a controller of cgroups: what the hierarchy makes, moves and ends, told to the memory cgroups. Kernel
// counterpart: memory_cgrp_subsys in mm/memcontrol.c.
import type { CgroupSubsys } from "@hetmem/cgroup";
import type { Process } from "@hetmem/mm";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { MemoryFile } from "./memory-files.ts";

/** A task as far as memory goes; one without an address space is charged for nothing. */
export type MemoryTask = Pick<Process, "pid" | "mm">;

/** Swappiness that a cgroup begins with below another; undefined: the machine's, now and later. */
export type SwappinessBelow = (parent: MemoryCgroup) => number | undefined;

export class MemoryController implements CgroupSubsys<MemoryTask, MemoryCgroup> {
  readonly name = "memory";
  readonly rootCss: MemoryCgroup;
  readonly files: Readonly<Record<string, MemoryFile>>;
  private readonly memcgs: MemoryCgroups;
  private readonly swappinessBelow: SwappinessBelow;
  /** Of those that are offline: who waits for their end. */
  private readonly released = new WeakMap<MemoryCgroup, () => void>();

  /** @param swappinessBelow what a new cgroup has; the machine's where absent */
  constructor(
    memcgs: MemoryCgroups,
    files: Readonly<Record<string, MemoryFile>>,
    swappinessBelow: SwappinessBelow = () => undefined,
  ) {
    this.memcgs = memcgs;
    this.swappinessBelow = swappinessBelow;
    this.rootCss = memcgs.root;
    this.files = files;
    memcgs.freed = (cgroup) => this.released.get(cgroup)?.();
  }

  /** @throws KernelError ENOSPC @see mem_cgroup_css_alloc() */
  cssCreate(parent: MemoryCgroup, name: string): MemoryCgroup {
    const cgroup = this.memcgs.create(parent, name);
    cgroup.swappiness = this.swappinessBelow(parent);
    return cgroup;
  }

  /** Pages that it pays for keep it. @see mem_cgroup_css_offline() */
  cssOffline(cgroup: MemoryCgroup, released: () => void): void {
    this.released.set(cgroup, released);
    this.memcgs.offline(cgroup);
  }

  cssGet(cgroup: MemoryCgroup): void {
    this.memcgs.charging.pin(cgroup, 1);
  }

  cssPut(cgroup: MemoryCgroup): void {
    this.memcgs.charging.pin(cgroup, -1);
  }

  /** What was charged stays where it was charged. @see mem_cgroup_attach() */
  attach({ mm }: MemoryTask, cgroup: MemoryCgroup): void {
    if (mm) this.memcgs.attach(mm, cgroup);
  }

  /** Its address space lets go of what is left by itself. */
  exit(): void {}
}
