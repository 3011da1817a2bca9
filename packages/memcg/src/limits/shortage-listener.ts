// The port through which shortages are followed: each attempt to make room, the moment before the OOM killer chooses, and each
// kill. Nothing listens by default, and the paths are the same with a listener and without. The kernel writes some of this
// to its log (dump_header() and oom_kill_process() in mm/oom_kill.c), and keeps none of it.
import type { Process } from "@hetmem/mm";
import type { OomControl } from "@hetmem/mm/ports";
import type { MemoryCgroup } from "../memory-cgroup.ts";

/** One attempt to make room: the request that didn't fit, and the pages that reclaim found. */
export interface LimitStep {
  /** Nanoseconds since boot. */
  readonly atNs: number;
  /** Path of the cgroup that was to pay. */
  readonly payer: string;
  /** Path of the cgroup whose limit refused the charge; "/" when the machine had no free pages. */
  readonly over: string;
  /** The process that asked for memory; undefined when no process runs in the address space. */
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  /** Pages that were asked for. */
  readonly pages: number;
  /** Pages in use, and pages allowed, before the attempt. */
  readonly usage: number;
  readonly max: number;
  /** Pages that reclaim scanned and freed, and pages taken back from the stocks of cpus. */
  readonly scanned: number;
  readonly reclaimed: number;
  readonly drained: number;
}

export interface ShortageListener {
  /**
   * Called after an attempt to make room.
   *
   * @param over the cgroup over its limit; the root when the machine had no free pages
   */
  attempted(over: MemoryCgroup, step: LimitStep): void;
  /**
   * Called before the OOM killer chooses a victim.
   *
   * @param over the cgroup over its limit; the root when the machine had no free pages
   */
  outOfMemory(control: OomControl, over: MemoryCgroup): void;
  /** The OOM killer has killed a process. @param cgroup the cgroup of the process */
  killed(control: OomControl, victim: Process, cgroup: MemoryCgroup): void;
}
