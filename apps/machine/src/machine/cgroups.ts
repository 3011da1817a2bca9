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
import type { AttributionNames } from "@hetmem/explain";
import { KernelError, type Sleeps, virtAddr } from "@hetmem/kernel";
import type { MemoryTask } from "@hetmem/memcg";
import { emptyMm, type MmStruct, type Process, type ProcessListener, type Vm } from "@hetmem/mm";
import type { AttributeTable } from "@hetmem/vfs";
import type { Memory } from "@hetmem/zone";
import type { CgroupFeature, MachineSpec } from "@hetmem/machine-spec";
import type { CgroupExplanation, ChargingController, MachineCharging } from "../parts/charging-part.ts";
import { checkController, checkMade } from "../parts/check-parts.ts";
import type { MachineParts } from "../parts/machine-parts.ts";

/** Makes the charging of a machine, and logs what the command line disables. */
export function startCharging(
  memory: Memory,
  { cgroup = "v2", options }: Pick<MachineSpec, "cgroup" | "options">,
  { charging, config }: Pick<MachineParts, "charging" | "config">,
): MachineCharging {
  for (const name of options.cgroup_disable ?? []) {
    const what = name === "memory" ? "subsystem" : "feature";
    memory.kernel.log.printk(6, `cgroup: Disabling ${name} control group ${what}`);
  }
  const made = charging({ memory, options, cgroup, config });
  checkMade("charging", made?.charging);
  if (made.controller !== undefined) checkController(made.controller);
  return made;
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
  /** Absent where memory is charged to no cgroup. */
  readonly controller: ChargingController | undefined;
  readonly config: MachineParts["config"];
  readonly programs: CgroupPrograms;
  /** Names of devices and files. */
  readonly names: AttributionNames;
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
  readonly #controller: ChargingController | undefined;
  readonly #names: AttributionNames;
  #shellMm: MmStruct | undefined;

  constructor({ spec, vm, controller, config, programs, names }: CgroupsOptions) {
    this.#vm = vm;
    this.#programs = programs;
    this.#controller = controller;
    this.#names = names;
    const { cgroup_disable: disabled = [] } = spec.options;
    const older = spec.cgroup === "v1";
    this.hierarchy = new CgroupHierarchy<MemoryTask>({
      subsystems: controller ? [controller.subsystem(() => programs.current)] : [],
      tasks: this.#tasks(),
      rules: older ? legacy : unified,
    });
    this.hierarchy.fork(SHELL, undefined);
    for (const feature of disabled) vm.kernel.log.printk(6, DISABLING[feature]);
    vm.processes.listener = this;
    // A kernel without memory cgroups doesn't list them, and one in which they are disabled does.
    const listed = controller ? [] : disabled.filter((name) => name === "memory" && config.has("MEMCG"));
    this.tables = config.has("CGROUPS") ? [this.#mount(older), ...this.#procTables(listed)] : [];
  }

  #mount(older: boolean): AttributeTable {
    const files = older ? legacyFiles(this.hierarchy) : unifiedFiles(this.hierarchy);
    const top = new CgroupDirectory(this.hierarchy, files);
    return older
      ? { root: "/sys/fs/cgroup", trees: { memory: top } }
      : { root: "/sys/fs", trees: { cgroup: top } };
  }

  /** @param disabled controllers that the command line disabled */
  #procTables(disabled: readonly string[]): AttributeTable[] {
    const { processes } = this.#vm;
    return [
      ...(this.#controller?.tables ?? []),
      cgroupProcTable(this.hierarchy, {
        pids: () => [SHELL.pid, ...Array.from(processes, ({ pid }) => pid)],
        find: (pid) => this.#find(pid),
        disabled,
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
    if (!this.#controller) return 0;
    return this.#controller.payerOf(this.hierarchy.effectiveCss(this.hierarchy.cgroupOf(parent ?? SHELL), 0));
  }

  /** In whose name the shell itself writes to files; undefined where it is charged as the kernel is: at the root. */
  get shellMm(): MmStruct | undefined {
    const payer = this.payer(undefined);
    if (payer === 0 || payer === this.#controller?.rootPayer) return undefined;
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
    if (!this.#controller)
      throw new KernelError("EOPNOTSUPP", "memory is charged to no cgroup on this machine");
    return this.#controller.explain(this.hierarchy.effectiveCss(cgroup, 0), this.#names);
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
