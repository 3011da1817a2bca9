// The OOM killer of a memory cgroup, called when reclaim frees nothing. Kernel counterparts:
// mem_cgroup_out_of_memory(), mem_cgroup_get_max() and mem_cgroup_print_oom_meminfo() in mm/memcontrol.c.
import { pagesToKiB, type Sleeps } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import type { OomControl } from "@hetmem/mm/ports";
import { PAGE_ALLOC_COSTLY_ORDER } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import { memoryStatText } from "../stat/memory-stat.ts";
import type { CgroupGroups } from "./cgroup-groups.ts";
import type { Stalls } from "./stalls.ts";

/** The objects that the limit policies share. */
export interface LimitTools {
  readonly memcgs: MemoryCgroups;
  readonly groups: CgroupGroups;
  readonly stalls: Stalls;
}

/** A charge that failed after reclaim. */
export interface CgroupShortage {
  readonly over: MemoryCgroup;
  /** The charging process; undefined for none. */
  readonly current: Process | undefined;
  readonly gfp: number;
  readonly pages: number;
}

/** Pages that a cgroup may still charge under its own limit. @see mem_cgroup_margin() */
export function margin({ memory }: MemoryCgroup): number {
  return Math.max(0, memory.max - memory.usage);
}

/**
 * Kills a process of a cgroup.
 *
 * @returns whether a retry of the charge may succeed
 * @see mem_cgroup_oom()
 */
export function* memCgroupOom(tools: LimitTools, shortage: CgroupShortage): Sleeps<boolean> {
  const { over, pages } = shortage;
  // No kill for costly orders: the caller falls back to smaller ones.
  if (pages > 1 << PAGE_ALLOC_COSTLY_ORDER) return false;
  over.noteEvent("oom");
  return yield* memCgroupOutOfMemory(tools, shortage);
}

/** @see mem_cgroup_out_of_memory() */
export function* memCgroupOutOfMemory(tools: LimitTools, shortage: CgroupShortage): Sleeps<boolean> {
  return yield* tools.memcgs.vm.reclaim.outOfMemory(controlOf(tools, shortage));
}

function controlOf(
  { memcgs, groups }: LimitTools,
  { over, current, gfp, pages }: CgroupShortage,
): OomControl {
  return {
    current,
    gfp,
    order: Math.ceil(Math.log2(pages)),
    constraint: "CONSTRAINT_MEMCG",
    group: groups.of(over),
    scope: `oom_memcg=${over.path}`,
    message: "Memory cgroup out of memory",
    details: () => meminfo(memcgs, over),
    get totalPages() {
      return Math.max(1, mostPages(memcgs, over));
    },
    candidates: () => groups.processesOf(over),
    // Another task may have made room while this one waited, or this one may have been killed.
    relieved: () => margin(over) >= pages || current?.killed === true,
  };
}

/** The limit of memory and swap of a cgroup, in pages. @see mem_cgroup_get_max() */
function mostPages({ vm }: MemoryCgroups, { memory, swap }: MemoryCgroup): number {
  return vm.tunables.swappiness === 0 ? memory.max : memory.max + Math.min(swap.max, vm.swap.totalPages);
}

/** @see mem_cgroup_print_oom_meminfo() */
function meminfo(memcgs: MemoryCgroups, cgroup: MemoryCgroup): string[] {
  const counters = [
    ["memory", cgroup.memory],
    ["swap", cgroup.swap],
  ] as const;
  return [
    ...counters.map(
      ([name, { usage, max, failcnt }]) =>
        `${name}: usage ${pagesToKiB(usage)}kB, limit ${pagesToKiB(max)}kB, failcnt ${failcnt}`,
    ),
    `Memory cgroup stats for ${cgroup.path}:`,
    ...memoryStatText(memcgs, cgroup).trimEnd().split("\n"),
  ];
}
