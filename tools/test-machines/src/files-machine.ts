// A machine whose memory cgroups are directories of /sys/fs/cgroup, with the processes of limits-machine.ts in them.
import {
  CgroupDirectory,
  CgroupHierarchy,
  type HierarchyRules,
  legacy,
  legacyFiles,
  unified,
  unifiedFiles,
} from "@hetmem/cgroup";
import { KernelError, run, virtAddr } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { Vfs } from "@hetmem/vfs";
import { inheritedSwappiness, legacyMemoryFiles, MemoryController, memoryFiles } from "@hetmem/memcg";
import { type LimitsMachine, limitsMachine, type LimitsMachineOptions } from "./limits-machine.ts";

export interface MountedCgroups {
  readonly hierarchy: CgroupHierarchy<Process>;
  readonly vfs: Vfs;
}

/** Mounts the cgroups of a machine. Its processes belong to one from their start. */
export function mountCgroups(
  { memcgs, limits, vm }: LimitsMachine,
  rules: HierarchyRules = unified,
): MountedCgroups {
  const older = rules === legacy;
  const by = { memcgs, limits, writer: () => undefined };
  const files = older ? legacyMemoryFiles(by) : memoryFiles({ ...by, psi: true });
  const hierarchy = new CgroupHierarchy<Process>({
    subsystems: [new MemoryController(memcgs, files, older ? inheritedSwappiness(memcgs) : undefined)],
    tasks: { find: (pid) => vm.processes.find(pid), current: undefined, kill: sendSigkill },
    rules,
  });
  vm.processes.listener = {
    began: (process, parent) => hierarchy.fork(process, parent),
    ended: (process) => hierarchy.exit(process),
  };
  const vfs = new Vfs();
  const core = older ? legacyFiles(hierarchy) : unifiedFiles(hierarchy);
  vfs.mount({ root: "/sys/fs", trees: { cgroup: new CgroupDirectory(hierarchy, core) } });
  return { hierarchy, vfs };
}

function sendSigkill(processes: readonly Process[]): void {
  for (const process of processes)
    process.deliver({
      signo: "SIGKILL",
      code: "SI_KERNEL",
      address: virtAddr(0),
      reason: "the test ends it",
    });
}

export interface FilesMachine {
  readonly machine: LimitsMachine;
  readonly hierarchy: CgroupHierarchy<Process>;
  readonly vfs: Vfs;
  mkdir(path: string): void;
  rmdir(path: string): void;
  cat(path: string): string;
  echo(text: string, path: string): void;
  /** The errno of a refused write; undefined when it is accepted. */
  refusal(text: string, path: string): string | undefined;
  /** A process in the cgroup at a path. */
  start(path: string): Process;
}

export interface FilesMachineOptions extends LimitsMachineOptions {
  readonly rules?: HierarchyRules;
}

export function filesMachine({ rules = unified, ...options }: FilesMachineOptions = {}): FilesMachine {
  const machine = limitsMachine(options);
  const { hierarchy, vfs } = mountCgroups(machine, rules);
  const at = (path: string): string => `/sys/fs/cgroup${path}`;
  return {
    machine,
    hierarchy,
    vfs,
    mkdir: (path) => vfs.mkdir(at(path)),
    rmdir: (path) => vfs.rmdir(at(path)),
    cat: (path) => run(vfs.read(at(path))),
    echo: (text, path) => run(vfs.write(at(path), `${text}\n`)),
    refusal(text, path) {
      try {
        run(vfs.write(at(path), `${text}\n`));
      } catch (error) {
        if (error instanceof KernelError) return error.errno;
        throw error;
      }
      return undefined;
    },
    start(path) {
      const process = machine.spawn(machine.memcgs.root);
      run(vfs.write(at(`${path}/cgroup.procs`), `${process.pid}`));
      return process;
    },
  };
}

/** The value of a line of a file such as memory.stat. */
export function line(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
}
