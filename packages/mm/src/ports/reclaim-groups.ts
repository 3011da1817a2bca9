// Port: memory cgroups as reclaim and the OOM killer see them: the hierarchy with its LRU lists, protection, and the
// victims and counters of an OOM. Without it the machine is a single group. Kernel counterparts: mem_cgroup_iter(),
// mem_cgroup_calculate_protection(), mem_cgroup_get_oom_group() in mm/memcontrol.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "../mm-struct.ts";
import type { Process } from "../process/process.ts";
import type { Lruvec } from "../lru/lruvec.ts";

/** A cgroup with LRU lists of its own. @see struct mem_cgroup */
export interface ReclaimGroup {
  /**
   * Its lruvec on a node; undefined when neither it nor a descendant ever had a page there.
   *
   * @see mem_cgroup_lruvec()
   */
  lruvec(node: NodeId): Lruvec | undefined;
  /** False after its removal. Pages that are left are reclaimed without regard to priority. @see mem_cgroup_online() */
  readonly online: boolean;
  /** Pages charged to it and to its descendants. @see mem_cgroup_size() */
  readonly size: number;
  /** Pages protected from any reclaim, as of the last calculateProtection(). @see emin of struct page_counter */
  readonly effectiveMin: number;
  /** Pages protected as long as unprotected pages can be reclaimed elsewhere. @see elow */
  readonly effectiveLow: number;
  /** Swap slots that it may still use. @see mem_cgroup_get_nr_swap_pages() */
  readonly swapPagesLeft: number;
  /** 0 to 200. @see mem_cgroup_swappiness() */
  readonly swappiness: number;
}

/** A cgroup whose processes are killed together. @see mem_cgroup_get_oom_group() */
export interface OomGroup {
  /** Path below the root: "/web/worker". */
  readonly path: string;
  /** Processes in it and in its descendants. */
  processes(): readonly Process[];
  /** Counts the kill of the whole group. @see MEMCG_OOM_GROUP_KILL */
  noteKill(): void;
}

/** A shortage for which the OOM killer was invoked. @see struct oom_control in include/linux/oom.h */
export interface OomControl {
  /** The process whose allocation failed; undefined for the kernel. */
  readonly current: Process | undefined;
  /** Gfp bits and order of the failed allocation; 0 for a page fault, which doesn't know them any more. */
  readonly gfp: number;
  readonly order: number;
  readonly constraint: "CONSTRAINT_NONE" | "CONSTRAINT_MEMORY_POLICY" | "CONSTRAINT_MEMCG";
  /** The cgroup over its limit; absent when the machine or nodes of it are short. @see oom_control.memcg */
  readonly group?: ReclaimGroup;
  /** For the log: `global_oom` or `oom_memcg=/web`. */
  readonly scope: string;
  /** For the log: usage and limits of the cgroup. @see mem_cgroup_print_oom_meminfo() */
  readonly details?: () => readonly string[];
  /** For the log: the beginning of the line about the victim. */
  readonly message: string;
  /** Pages of memory and swap in the constrained set. @see oom_control.totalpages */
  readonly totalPages: number;
  /** The processes that may be chosen. */
  readonly candidates: () => Iterable<Process>;
  /** Whether the shortage ended before the killer's turn came: no process is killed then. Absent: it did not. */
  readonly relieved?: () => boolean;
}

/** A request for memory that leads to direct reclaim. */
export interface MemoryRequest {
  /** The address space and the process that need the memory, as far as known. */
  readonly mm: MmStruct | undefined;
  readonly current: Process | undefined;
  readonly order: number;
}

/** Port: all cgroups of a machine. @see include/linux/memcontrol.h */
export interface ReclaimGroups {
  /**
   * A cgroup and its descendants, parents first. The group given last stays valid until the next is asked for, even
   * if it is removed meanwhile.
   *
   * @param target undefined: all cgroups of the machine
   * @see mem_cgroup_iter()
   */
  hierarchy(target: ReclaimGroup | undefined): Iterable<ReclaimGroup>;
  /**
   * Computes how much of a group is protected from a reclaim of `target`. Its ancestors were computed before.
   *
   * @see mem_cgroup_calculate_protection()
   */
  calculateProtection(target: ReclaimGroup | undefined, group: ReclaimGroup): void;
  /** Counts a reclaim of a group below its memory.low. @see MEMCG_LOW */
  noteLow(group: ReclaimGroup): void;
  /** Path of the cgroup of a process: "/web/worker". */
  pathOf(process: Process): string;
  /** Runs the direct reclaim of a request, counted as a stall of its cgroup. @see psi_memstall_enter() */
  directReclaim(request: MemoryRequest, reclaim: Sleeps<number>): Sleeps<number>;
  /** Counts an OOM, before a victim is chosen. @see MEMCG_OOM */
  noteShortage(control: OomControl): void;
  /** Counts the kill of a process. @see MEMCG_OOM_KILL */
  noteOomKill(victim: Process, mm: MmStruct, control: OomControl): void;
  /**
   * The cgroup that is killed as a whole with a victim.
   *
   * @param domain the cgroup that is short; undefined: the machine
   * @returns undefined when only the victim is killed
   * @see mem_cgroup_get_oom_group()
   */
  oomGroupOf(victim: Process, domain: ReclaimGroup | undefined): OomGroup | undefined;
}
