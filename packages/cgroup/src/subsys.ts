// The ports of the hierarchy. Below it: what a controller is, which makes something for each cgroup that it is enabled in
// and has files there; beside it: the tasks that are in cgroups, of which nothing but a number is known here.
// Kernel counterparts: struct cgroup_subsys and struct cftype in include/linux/cgroup-defs.h.
import type { Sleeps } from "@hetmem/kernel";

/** A process, as far as cgroups go. */
export interface CgroupTask {
  readonly pid: number;
}

/** A port: who knows the tasks. */
export interface CgroupTasks<T extends CgroupTask> {
  find(pid: number): T | undefined;
  /** Who runs now: pid 0 in cgroup.procs. */
  readonly current: T | undefined;
  /** SIGKILL for each. Who dies at once has left its cgroup when this is done; others do when they have died. */
  kill(tasks: readonly T[]): void | Sleeps<void>;
}

/**
 * A port: a controller. What it keeps for a cgroup is a C, `struct cgroup_subsys_state` in the kernel; a cgroup that it isn't
 * enabled in shares that of the one above.
 */
export interface CgroupSubsys<T extends CgroupTask = CgroupTask, C extends object = object> {
  /** What subtree_control calls it, and the names of its files begin with. */
  readonly name: string;
  readonly rootCss: C;
  /** By name without the prefix: `max` is `memory.max`. */
  readonly files: Readonly<Record<string, CgroupFile<C>>>;
  /** @param name of the cgroup @throws KernelError ENOMEM, ENOSPC: nothing was made @see css_create() */
  cssCreate(parent: C, name: string): C;
  /**
   * Its cgroup has gone, or the controller was disabled in it. No task is charged to it any more; what it was charged may keep
   * it for long.
   *
   * @param released to be called once nothing is left of it, at once if nothing is
   * @see offline_css()
   */
  cssOffline(css: C, released: () => void): void;
  /** Somebody works with it for a while, and it isn't released before he has put it back. @see css_get() */
  cssGet(css: C): void;
  /** @see css_put() */
  cssPut(css: C): void;
  /** A task has begun in it, or was moved into it. What it used before stays where it was charged. */
  attach(task: T, css: C): void;
  /** A task has ended. */
  exit(task: T): void;
}

/** A file of a controller or of the hierarchy itself. @see struct cftype */
export interface CgroupFile<C> {
  /** The root has none. @see CFTYPE_NOT_ON_ROOT */
  readonly notOnRoot?: boolean;
  show?(of: C): string | Sleeps<string>;
  /** @param text without the white space around it */
  store?(of: C, text: string): void | Sleeps<void>;
}
