// The part that charges pages. Memory cgroups come with a controller, through which user space sets limits and reads counters; a
// charging of your own needs none. Kernel counterpart: CONFIG_MEMCG, mm/memcontrol.c.
import type { CgroupSubsys } from "@hetmem/cgroup";
import type { Attribution, AttributionNames, OomReport } from "@hetmem/explain";
import type { KconfigName, KernelOptions } from "@hetmem/machine-spec";
import type { MemoryTask } from "@hetmem/memcg";
import type { PageCharging, Process } from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { Memory } from "@hetmem/zone";

/** The parts of a machine from which its charging is made. */
export interface ChargingHost {
  readonly memory: Memory;
  readonly options: KernelOptions;
  /** Options that the kernel was built with. */
  readonly config: ReadonlySet<KconfigName>;
  /** How cgroups are mounted. */
  readonly cgroup: "v1" | "v2";
}

/** Makes the charging of pages. Called at each boot. */
export type ChargingPart = (host: ChargingHost) => MachineCharging;

export interface MachineCharging {
  readonly charging: PageCharging;
  /** The controller of the hierarchy at /sys/fs/cgroup; absent: cgroups have no memory files. */
  readonly controller?: ChargingController;
}

/** The memory that a cgroup pays for, and the reasons for which processes of it were killed. */
export interface CgroupExplanation {
  readonly attribution: Attribution;
  readonly ooms: readonly OomReport[];
}

/** A controller of memory, beside the port that it charges through. */
export interface ChargingController {
  /** @param writer the process that writes to a file; undefined where it is the shell */
  subsystem(writer: () => Process | undefined): CgroupSubsys<MemoryTask>;
  /** The number that MmStruct.payer has for a state of the controller. */
  payerOf(css: object): number;
  /** The payer of the kernel and of the root cgroup. */
  readonly rootPayer: number;
  /** Files outside of the hierarchy. */
  readonly tables: readonly AttributeTable[];
  /** The use of the memory that a state of the controller pays for. */
  explain(css: object, names: AttributionNames): CgroupExplanation;
}
