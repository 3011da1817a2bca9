// /proc/PID/cgroup and /proc/cgroups. Kernel counterparts: proc_cgroup_show() in kernel/cgroup/cgroup.c,
// proc_cgroupstats_show() in kernel/cgroup/cgroup-v1.c.
import type { AttributeTable, Params } from "@hetmem/vfs";
import type { CgroupHierarchy } from "./hierarchy.ts";
import type { CgroupTask } from "./subsys.ts";

export interface CgroupProcOptions<T extends CgroupTask> {
  /** The pids that /proc lists. */
  readonly pids: () => Iterable<number>;
  readonly find: (pid: number) => T | undefined;
  /** Controllers that were disabled at boot. */
  readonly disabled: readonly string[];
}

export function cgroupProcTable<T extends CgroupTask>(
  hierarchy: CgroupHierarchy<T>,
  { pids, find, disabled }: CgroupProcOptions<T>,
): AttributeTable {
  const { hierarchyId } = hierarchy.rules;
  const controllers = hierarchyId === 0 ? "" : hierarchy.subsystems.map(({ name }) => name).join(",");
  return {
    root: "/proc",
    instances: { task: () => Array.from(pids(), String) },
    exists: { task: (name) => /^[1-9]\d*$/.test(name) && find(Number(name)) !== undefined },
    files: {
      cgroups: { show: () => controllersText(hierarchy, disabled) },
      "{task}/cgroup": {
        show: (params) => `${hierarchyId}:${controllers}:${pathOf(hierarchy, find, params)}\n`,
      },
    },
  };
}

function pathOf<T extends CgroupTask>(
  hierarchy: CgroupHierarchy<T>,
  find: (pid: number) => T | undefined,
  { task = "" }: Params,
): string {
  const found = find(Number(task));
  return found ? hierarchy.cgroupOf(found).path : "/";
}

function controllersText({ root, rules, subsystems }: CgroupHierarchy, disabled: readonly string[]): string {
  const cgroups = 1 + root.nrDescendants + root.nrDyingDescendants;
  const lines = [
    ...subsystems.map(({ name }) => `${name}\t${rules.hierarchyId}\t${cgroups}\t1\n`),
    ...disabled.map((name) => `${name}\t0\t${cgroups}\t0\n`),
  ];
  return `#subsys_name\thierarchy\tnum_cgroups\tenabled\n${lines.join("")}`;
}
