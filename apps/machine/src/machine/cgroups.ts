// The cgroups of a machine: who is charged for memory, the hierarchy at /sys/fs/cgroup, and processes in it from their first
// moment to their last. The shell is process 1, and begins at the root.
import {
  CgroupDirectory,
  CgroupHierarchy,
  cgroupProcTable,
  legacy,
  legacyFiles,
  unified,
  unifiedFiles,
} from "@hetmem/cgroup";
import {
  type Attribution,
  type AttributionNames,
  attributeMemory,
  OomHistory,
  type OomReport,
} from "@hetmem/explain";
import { KernelError, type Sleeps, virtAddr } from "@hetmem/kernel";
import {
  inheritedSwappiness,
  legacyMemoryFiles,
  Limits,
  MemoryCgroup,
  MemoryCgroups,
  MemoryController,
  memoryFiles,
  type MemoryTask,
} from "@hetmem/memcg";
import {
  emptyMm,
  type MmStruct,
  type PageCharging,
  type Process,
  type ProcessListener,
  uncharged,
  type Vm,
} from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { Memory } from "@hetmem/zone";
import type { CgroupFeature, KernelOptions, MachineSpec } from "@hetmem/machine-spec";

/** Charging of memory to cgroups. */
export interface MemoryCharging {
  /** The port that a Vm is made with. */
  readonly charging: PageCharging;
  /** Undefined where memory is charged to no cgroup. */
  readonly memory?: {
    readonly memcgs: MemoryCgroups;
    readonly limits: Limits;
    readonly history: OomHistory;
  };
}

/** Absent with cgroup_disable=memory. */
export function memoryCharging(memory: Memory, { cgroup_disable = [] }: KernelOptions): MemoryCharging {
  for (const name of cgroup_disable) {
    const what = name === "memory" ? "subsystem" : "feature";
    memory.kernel.log.printk(6, `cgroup: Disabling ${name} control group ${what}`);
  }
  if (cgroup_disable.includes("memory")) return { charging: uncharged };
  const memcgs = new MemoryCgroups(memory);
  const limits = new Limits(memcgs);
  return { charging: memcgs.charging, memory: { memcgs, limits, history: new OomHistory(limits) } };
}

/** The programs of the machine. */
export interface CgroupPrograms {
  /** The one that asks; undefined where it is the shell itself. */
  readonly current: Process | undefined;
  /** Ends processes that were killed. */
  reap(): Sleeps<void>;
}

export interface CgroupsOptions {
  readonly spec: Pick<MachineSpec, "cgroup" | "options">;
  readonly vm: Vm;
  readonly memory: MemoryCharging["memory"];
  readonly programs: CgroupPrograms;
  /** Names of devices and files. */
  readonly names: AttributionNames;
}

/** The memory that a cgroup pays for, and the reasons for which processes of it were killed. */
export interface CgroupExplanation {
  readonly attribution: Attribution;
  readonly ooms: readonly OomReport[];
}

/** `$$`. It has no memory here that could be charged. */
const SHELL: MemoryTask = { pid: 1, mm: undefined };

const DISABLING: Readonly<Record<CgroupFeature, string>> = {
  memory: "Disabling memory control group subsystem",
  pressure: "Disabling pressure control group feature",
};

export class Cgroups implements ProcessListener {
  readonly hierarchy: CgroupHierarchy<MemoryTask>;
  readonly tables: readonly AttributeTable[];
  readonly #vm: Vm;
  readonly #programs: CgroupPrograms;
  readonly #memory: MemoryCharging["memory"];
  readonly #names: AttributionNames;
  #shellMm: MmStruct | undefined;

  constructor({ spec, vm, memory, programs, names }: CgroupsOptions) {
    this.#vm = vm;
    this.#programs = programs;
    this.#memory = memory;
    this.#names = names;
    const { cgroup_disable: disabled = [] } = spec.options;
    const older = spec.cgroup === "v1";
    const writer = (): Process | undefined => programs.current;
    const files =
      memory &&
      (older
        ? legacyMemoryFiles({ ...memory, writer })
        : memoryFiles({ ...memory, writer, psi: !disabled.includes("pressure") }));
    this.hierarchy = new CgroupHierarchy<MemoryTask>({
      subsystems:
        memory && files
          ? [
              new MemoryController(
                memory.memcgs,
                files,
                older ? inheritedSwappiness(memory.memcgs) : undefined,
              ),
            ]
          : [],
      tasks: this.#tasks(),
      rules: older ? legacy : unified,
    });
    this.hierarchy.fork(SHELL, undefined);
    for (const feature of disabled) vm.kernel.log.printk(6, DISABLING[feature]);
    vm.processes.listener = this;
    const top = new CgroupDirectory(
      this.hierarchy,
      older ? legacyFiles(this.hierarchy) : unifiedFiles(this.hierarchy),
    );
    this.tables = [
      older
        ? { root: "/sys/fs/cgroup", trees: { memory: top } }
        : { root: "/sys/fs", trees: { cgroup: top } },
      ...(memory ? [memoryPressureTable(memory)] : []),
      cgroupProcTable(this.hierarchy, {
        pids: () => [SHELL.pid, ...Array.from(vm.processes, ({ pid }) => pid)],
        find: (pid) => this.#find(pid),
        disabled: memory ? [] : ["memory"],
      }),
    ];
  }

  began(process: Process, parent: Process | undefined): void {
    this.hierarchy.fork(process, parent ?? this.#programs.current ?? SHELL);
  }

  ended(process: Process): void {
    this.hierarchy.exit(process);
  }

  /** The payer of a child of a process, as an address space has it; of a child of the shell where no process is given. */
  payer(parent: Process | undefined): number {
    if (this.hierarchy.subsystems.length === 0) return 0;
    const css = this.hierarchy.effectiveCss(this.hierarchy.cgroupOf(parent ?? SHELL), 0);
    return css instanceof MemoryCgroup ? css.id : 0;
  }

  /** In whose name the shell itself writes to files; undefined where it is charged as the kernel is: at the root. */
  get shellMm(): MmStruct | undefined {
    const payer = this.payer(undefined);
    if (payer === 0 || payer === this.#memory?.memcgs.root.id) return undefined;
    this.#shellMm ??= emptyMm(this.#vm, this.#vm.memmap.nodeOf(this.#vm.zeroPage), payer);
    this.#shellMm.payer = payer;
    return this.#shellMm;
  }

  /**
   * Finds out what a cgroup pays for.
   *
   * @param path from the root of the hierarchy: "/web"
   * @throws KernelError ENOENT when there is no such cgroup, EOPNOTSUPP where memory is charged to no cgroup
   */
  explain(path: string): CgroupExplanation {
    const cgroup = this.hierarchy.find(path);
    if (!cgroup) throw new KernelError("ENOENT", `there is no cgroup ${path}`);
    if (!this.#memory)
      throw new KernelError("EOPNOTSUPP", "cgroup_disable=memory: nobody is charged for memory");
    const css = this.hierarchy.effectiveCss(cgroup, 0);
    const { memcgs, history } = this.#memory;
    const payer = css instanceof MemoryCgroup ? css : memcgs.root;
    return {
      attribution: attributeMemory(memcgs, payer, this.#names),
      ooms: history.of(payer),
    };
  }

  #find(pid: number): MemoryTask | undefined {
    return pid === SHELL.pid ? SHELL : this.#vm.processes.find(pid);
  }

  #tasks(): CgroupHierarchy<MemoryTask>["tasks"] {
    const programs = this.#programs;
    const { processes } = this.#vm;
    return {
      find: (pid) => this.#find(pid),
      get current() {
        return programs.current ?? SHELL;
      },
      // The first process can't be killed.
      *kill(tasks) {
        const reason = "somebody wrote to cgroup.kill";
        for (const { pid } of tasks)
          processes.find(pid)?.deliver({ signo: "SIGKILL", code: "SI_KERNEL", address: virtAddr(0), reason });
        yield* programs.reap();
      },
    };
  }
}

/** How long processes of the whole machine have waited for memory. @see psi_proc_init() in kernel/sched/psi.c */
function memoryPressureTable({ memcgs, limits }: NonNullable<MemoryCharging["memory"]>): AttributeTable {
  return { root: "/proc/pressure", files: { memory: { show: () => limits.stalls.text(memcgs.root) } } };
}
