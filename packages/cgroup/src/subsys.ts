// The ports of the hierarchy: controllers, which keep a state and provide files for each cgroup where they are
// enabled, and the table of tasks, of which only the pid is known here. Kernel counterparts: struct cgroup_subsys and
// struct cftype in include/linux/cgroup-defs.h.
import type { Sleeps } from "@hetmem/kernel";

/** A process, as far as cgroups are concerned. */
export interface CgroupTask {
  readonly pid: number;
}

/** Port: the table of tasks. */
export interface CgroupTasks<T extends CgroupTask> {
  find(pid: number): T | undefined;
  /** The running task, which pid 0 in cgroup.procs stands for. */
  readonly current: T | undefined;
  /**
   * Sends SIGKILL to each task. A task that dies at once has left its cgroup when this returns; others leave when
   * they exit.
   */
  kill(tasks: readonly T[]): void | Sleeps<void>;
}

/**
 * Port: a controller. Its state for a cgroup is a C, the kernel's `struct cgroup_subsys_state`. A cgroup where the
 * controller isn't enabled shares its parent's state.
 */
export interface CgroupSubsys<T extends CgroupTask = CgroupTask, C extends object = object> {
  /** Name in subtree_control and prefix of the controller's files. */
  readonly name: string;
  readonly rootCss: C;
  /** Files by name without the prefix: `max` is `memory.max`. */
  readonly files: Readonly<Record<string, CgroupFile<C>>>;
  /**
   * Creates the state of a new cgroup.
   *
   * @param name name of the cgroup
   * @throws KernelError ENOMEM, ENOSPC; nothing was created then
   * @see css_create()
   */
  cssCreate(parent: C, name: string): C;
  /**
   * The cgroup was removed, or the controller disabled in it. No task is charged to the state any more; its remaining
   * charges may keep it allocated.
   *
   * @param released call this when the state holds no charges any more; at once if it holds none
   * @see offline_css()
   */
  cssOffline(css: C, released: () => void): void;
  /** Takes a reference: the state isn't released before cssPut(). @see css_get() */
  cssGet(css: C): void;
  /** @see css_put() */
  cssPut(css: C): void;
  /** A task was forked or moved into a cgroup with this state. Earlier charges of the task stay where they are. */
  attach(task: T, css: C): void;
  /** A task has exited. */
  exit(task: T): void;
}

/** A file of a controller or of the hierarchy itself. @see struct cftype */
export interface CgroupFile<C> {
  /** Absent in the root. @see CFTYPE_NOT_ON_ROOT */
  readonly notOnRoot?: boolean;
  show?(of: C): string | Sleeps<string>;
  /** @param text without the white space around it */
  store?(of: C, text: string): void | Sleeps<void>;
}
