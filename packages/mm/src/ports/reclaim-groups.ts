// The port to whoever divides memory among groups of processes: what reclaim and the OOM killer ask about cgroups. An mm
// without it has one group, the machine, and asks nobody. Kernel counterparts: mem_cgroup_iter(),
// mem_cgroup_calculate_protection(), mem_cgroup_get_oom_group() in mm/memcontrol.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Lruvec } from "../lru/lruvec.ts";

/** A group whose pages are on lists of their own. @see struct mem_cgroup */
export interface ReclaimGroup {
  /** Its lists on a node; undefined: it never had a page there, nor had a group below it. @see mem_cgroup_lruvec() */
  lruvec(node: NodeId): Lruvec | undefined;
  /** False for one that was removed while pages of it were left: they are scraped out. @see mem_cgroup_online() */
  readonly online: boolean;
  /** Pages that it and those below it pay for. @see mem_cgroup_size() */
  readonly size: number;
  /** Pages of it that are never taken, by what calculateProtection() found last. @see emin of struct page_counter */
  readonly effectiveMin: number;
  /** Pages of it that are taken only when nothing else is left. @see elow */
  readonly effectiveLow: number;
  /** Slots of swap that it may still fill. @see mem_cgroup_get_nr_swap_pages() */
  readonly swapPagesLeft: number;
  /** @see mem_cgroup_swappiness() */
  readonly swappiness: number;
}

/** Processes that end together. @see mem_cgroup_get_oom_group() */
export interface OomGroup {
  /** Where it stands below the root: "/web/worker". */
  readonly path: string;
  /** Those that are in it now, or below it. */
  processes(): readonly Process[];
  /** It is about to be killed as a whole. @see MEMCG_OOM_GROUP_KILL */
  noteKill(): void;
}

/** A shortage that somebody has to die for. @see struct oom_control in include/linux/oom.h */
export interface OomControl {
  /** Who asked for memory; undefined for the kernel itself. */
  readonly current: Process | undefined;
  /** What was asked for; 0 for a page fault that doesn't know any more. */
  readonly gfp: number;
  readonly order: number;
  readonly constraint: "CONSTRAINT_NONE" | "CONSTRAINT_MEMORY_POLICY" | "CONSTRAINT_MEMCG";
  /** The cgroup that is short; absent: the machine, or nodes of it. @see oom_control.memcg */
  readonly group?: ReclaimGroup;
  /** For the log: `global_oom`, `oom_memcg=/web`. */
  readonly scope: string;
  /** For the log: how the group that is short stands. @see mem_cgroup_print_oom_meminfo() */
  readonly details?: readonly string[];
  /** For the log: what a line about a victim begins with. */
  readonly message: string;
  /** Pages of memory and swap that the shortage is about. */
  readonly totalPages: number;
  /** Those who may be chosen. */
  readonly candidates: () => Iterable<Process>;
}

/** What somebody wants of the machine. */
export interface MemoryRequest {
  /** Whose memory it is for, and the process, as far as that is known. */
  readonly mm: MmStruct | undefined;
  readonly current: Process | undefined;
  readonly order: number;
}

/** All groups of a machine. @see include/linux/memcontrol.h */
export interface ReclaimGroups {
  /**
   * A group and all below it, each after the one above it. The one that was given last stays what it is until the next
   * is asked for, whoever removes it meanwhile.
   *
   * @param target undefined: all groups of the machine
   * @see mem_cgroup_iter()
   */
  hierarchy(target: ReclaimGroup | undefined): Iterable<ReclaimGroup>;
  /** Finds out how much of a group is protected from a reclaim of `target`. Those above it have been asked about. @see mem_cgroup_calculate_protection() */
  calculateProtection(target: ReclaimGroup | undefined, group: ReclaimGroup): void;
  /** A group is reclaimed although it is below its memory.low. @see MEMCG_LOW */
  noteLow(group: ReclaimGroup): void;
  /** Where the group of a process stands: "/web/worker". */
  pathOf(process: Process): string;
  /** Runs the reclaim of somebody who found no memory on the machine, and waits for it. @see psi_memstall_enter() */
  directReclaim(request: MemoryRequest, reclaim: Sleeps<number>): Sleeps<number>;
  /** Somebody is about to be killed for a shortage. */
  noteShortage(control: OomControl): void;
  /** A process is killed for it. @see MEMCG_OOM_KILL */
  noteOomKill(victim: Process, mm: MmStruct, control: OomControl): void;
  /**
   * Whom else to kill with a victim.
   *
   * @param domain the group that is short; undefined: the machine
   * @returns undefined: nobody
   * @see mem_cgroup_get_oom_group()
   */
  oomGroupOf(victim: Process, domain: ReclaimGroup | undefined): OomGroup | undefined;
}
