// Core files, present in every cgroup whatever its controllers: cgroup.procs and the like, for the unified and for
// the legacy hierarchy. Kernel counterparts: cgroup_base_files in kernel/cgroup/cgroup.c, cgroup1_base_files in
// kernel/cgroup/cgroup-v1.c.
import { INT_MAX, KernelError, kstrtoint, type Sleeps } from "@hetmem/kernel";
import type { Cgroup } from "./cgroup.ts";
import { type CgroupHierarchy, placesOf } from "./hierarchy.ts";
import type { CgroupFile, CgroupTask } from "./subsys.ts";
import { parseControl, setSubtreeControl } from "./subtree-control.ts";

export type CoreFiles<T extends CgroupTask> = Readonly<Record<string, CgroupFile<Cgroup<T>>>>;

/** @see cgroup_base_files */
export function unifiedFiles<T extends CgroupTask>(hierarchy: CgroupHierarchy<T>): CoreFiles<T> {
  const names = hierarchy.subsystems.map(({ name }) => name);
  const listed = (mask: number): string => {
    const words = placesOf(mask).map((place) => names[place]);
    return words.length > 0 ? `${words.join(" ")}\n` : "";
  };
  return {
    "cgroup.controllers": { show: (cgroup) => listed(hierarchy.control(cgroup)) },
    "cgroup.events": {
      notOnRoot: true,
      show: ({ populated }) => `populated ${populated ? 1 : 0}\nfrozen 0\n`,
    },
    "cgroup.kill": { notOnRoot: true, store: (cgroup, text) => kill(hierarchy, cgroup, text) },
    "cgroup.max.depth": limitFile("maxDepth"),
    "cgroup.max.descendants": limitFile("maxDescendants"),
    "cgroup.procs": {
      show: (cgroup) => pidLines(pidsOf(cgroup)),
      store: (cgroup, text) => hierarchy.attach(taskOf(hierarchy, cgroup, text), cgroup),
    },
    "cgroup.stat": {
      show: ({ nrDescendants, nrDyingDescendants }) =>
        `nr_descendants ${nrDescendants}\nnr_dying_descendants ${nrDyingDescendants}\n`,
    },
    "cgroup.subtree_control": {
      show: ({ subtreeControl }) => listed(subtreeControl),
      store: (cgroup, text) => setSubtreeControl(hierarchy, cgroup, parseControl(names, text)),
    },
    "cgroup.threads": {
      show: (cgroup) => pidLines(pidsOf(cgroup)),
      store: (cgroup, text) => moveThread(hierarchy, cgroup, text),
    },
    "cgroup.type": {
      notOnRoot: true,
      show: () => "domain\n",
      store: (cgroup, text) => setType(cgroup, text),
    },
  };
}

/** @see cgroup1_base_files */
export function legacyFiles<T extends CgroupTask>(hierarchy: CgroupHierarchy<T>): CoreFiles<T> {
  const members: CgroupFile<Cgroup<T>> = {
    show: (cgroup) => pidLines(pidsOf(cgroup).sort((a, b) => a - b)),
    store: (cgroup, text) => hierarchy.attach(taskOf(hierarchy, cgroup, text), cgroup),
  };
  return { "cgroup.procs": members, tasks: members };
}

function pidsOf({ tasks }: Cgroup): number[] {
  return Array.from(tasks, ({ pid }) => pid);
}

function pidLines(pids: readonly number[]): string {
  return pids.map((pid) => `${pid}\n`).join("");
}

/**
 * The process with the pid in a written text; 0 stands for the writing process.
 *
 * @throws KernelError ENODEV when the cgroup has been removed, EINVAL when the text isn't a number, ESRCH without
 * such a process
 * @see cgroup_procs_write_start()
 */
function taskOf<T extends CgroupTask>(hierarchy: CgroupHierarchy<T>, cgroup: Cgroup<T>, text: string): T {
  hierarchy.assertAlive(cgroup);
  const pid = pidIn(text.trim());
  const task = pid === 0 ? hierarchy.tasks.current : hierarchy.tasks.find(pid);
  if (!task) throw new KernelError("ESRCH", `there is no process ${pid}`);
  return task;
}

/** Parses a pid. Every malformed text is EINVAL: kstrtoint()'s ERANGE too. */
function pidIn(text: string): number {
  let pid = -1;
  try {
    pid = kstrtoint(text, "any");
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
  if (pid < 0) throw new KernelError("EINVAL", `"${text}" is not the number of a process`);
  return pid;
}

/**
 * Accepts a thread only in its process's own cgroup, since a process here has one thread.
 *
 * @see cgroup_attach_permissions()
 */
function moveThread<T extends CgroupTask>(
  hierarchy: CgroupHierarchy<T>,
  cgroup: Cgroup<T>,
  text: string,
): void {
  const task = taskOf(hierarchy, cgroup, text);
  hierarchy.vetDestination(cgroup);
  if (hierarchy.cgroupOf(task) !== cgroup)
    throw new KernelError(
      "EOPNOTSUPP",
      `${cgroup.path} is another domain: move the process, with cgroup.procs`,
    );
}

/** @throws KernelError ERANGE for numbers other than 1, EINVAL for other texts @see cgroup_kill_write() */
function kill<T extends CgroupTask>(
  { tasks }: CgroupHierarchy<T>,
  cgroup: Cgroup<T>,
  text: string,
): void | Sleeps<void> {
  if (kstrtoint(text.trim(), "any") !== 1) throw new KernelError("ERANGE", "only 1 can be written here");
  return tasks.kill(Array.from(cgroup.subtree(), (at) => [...at.tasks]).flat());
}

/** @see cgroup_type_write() */
function setType({ path }: Cgroup, text: string): never {
  if (text.trim() !== "threaded") throw new KernelError("EINVAL", 'only "threaded" can be written here');
  throw new KernelError("EOPNOTSUPP", `${path} can't be threaded: processes here have one thread`);
}

/** @see cgroup_max_depth_write(), cgroup_max_descendants_write() */
function limitFile<T extends CgroupTask>(limit: "maxDepth" | "maxDescendants"): CgroupFile<Cgroup<T>> {
  return {
    show: (cgroup) => (Number.isFinite(cgroup[limit]) ? `${cgroup[limit]}\n` : "max\n"),
    store(cgroup, text) {
      const value = text.trim() === "max" ? Number.POSITIVE_INFINITY : kstrtoint(text.trim(), "any");
      if (value < 0) throw new KernelError("ERANGE", "a limit can't be below zero");
      if (cgroup.dead) throw new KernelError("ENOENT", `the cgroup ${cgroup.path} has been removed`);
      cgroup[limit] = value === INT_MAX ? Number.POSITIVE_INFINITY : value;
    },
  };
}
