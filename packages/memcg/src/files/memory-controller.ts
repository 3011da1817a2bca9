// The memory controller of a cgroup hierarchy: forwards creation, moves and removal to the memory cgroups. Kernel
// counterpart: memory_cgrp_subsys in mm/memcontrol.c.
import type { CgroupSubsys } from "@hetmem/cgroup";
import type { Process } from "@hetmem/mm";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { MemoryFile } from "./memory-files.ts";

/** A task as the memory controller sees it. A task without an address space has no charges. */
export type MemoryTask = Pick<Process, "pid" | "mm">;

/** The initial swappiness of a child cgroup; undefined follows the machine's. */
export type SwappinessBelow = (parent: MemoryCgroup) => number | undefined;

export class MemoryController implements CgroupSubsys<MemoryTask, MemoryCgroup> {
  readonly name = "memory";
  readonly rootCss: MemoryCgroup;
  readonly files: Readonly<Record<string, MemoryFile>>;
  private readonly memcgs: MemoryCgroups;
  private readonly swappinessBelow: SwappinessBelow;
  /** Callbacks of offline cgroups, called when they are freed. */
  private readonly released = new WeakMap<MemoryCgroup, () => void>();

  /** @param swappinessBelow the initial swappiness of new cgroups; the machine's when absent */
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

  /** Takes a cgroup offline; its remaining charges delay `released`. @see mem_cgroup_css_offline() */
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

  /** Charges further pages of the task to the cgroup; earlier charges stay. @see mem_cgroup_attach() */
  attach({ mm }: MemoryTask, cgroup: MemoryCgroup): void {
    if (mm) this.memcgs.attach(mm, cgroup);
  }

  /** Nothing to do: the address space uncharges its pages when it is torn down. */
  exit(): void {}
}
