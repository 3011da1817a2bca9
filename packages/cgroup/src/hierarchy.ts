// The hierarchy of cgroups: creation, removal, and the membership of tasks. All operations are atomic; enforcing
// limits may sleep and is the controllers' business. Kernel counterpart: kernel/cgroup/cgroup.c.
import { bugOn, KernelBug, KernelError } from "@hetmem/kernel";
import { Cgroup } from "./cgroup.ts";
import type { CgroupSubsys, CgroupTask, CgroupTasks } from "./subsys.ts";

/** The differences between cgroup v2 (unified) and v1 (legacy). */
export interface HierarchyRules {
  /** Hierarchy number in /proc/PID/cgroup. */
  readonly hierarchyId: number;
  /** The controllers that a new cgroup enables for its children, as bits, of those available to itself. */
  initialControl(available: number): number;
  /** Whether a cgroup with controllers enabled for its children may hold tasks itself. */
  readonly internalTasks: boolean;
}

/** One hierarchy for all controllers. Each cgroup enables controllers for its children. */
export const unified: HierarchyRules = { hierarchyId: 0, initialControl: () => 0, internalTasks: false };
/** A hierarchy of one controller, enabled in every cgroup. */
export const legacy: HierarchyRules = {
  hierarchyId: 1,
  initialControl: (available) => available,
  internalTasks: true,
};

export interface HierarchyOptions<T extends CgroupTask> {
  /** Controllers, in the order in which files list them. */
  readonly subsystems: readonly CgroupSubsys<T>[];
  readonly tasks: CgroupTasks<T>;
  readonly rules?: HierarchyRules;
}

export class CgroupHierarchy<T extends CgroupTask = CgroupTask> {
  readonly root: Cgroup<T> = new Cgroup<T>("", undefined);
  readonly subsystems: readonly CgroupSubsys<T>[];
  readonly tasks: CgroupTasks<T>;
  readonly rules: HierarchyRules;
  private readonly homes = new Map<T, Cgroup<T>>();

  constructor({ subsystems, tasks, rules = unified }: HierarchyOptions<T>) {
    this.subsystems = subsystems;
    this.tasks = tasks;
    this.rules = rules;
    subsystems.forEach(({ rootCss }, place) => this.root.setCss(place, rootCss));
    this.root.subtreeControl = rules.initialControl(this.control(this.root));
  }

  /** The controllers that a cgroup has and may enable for its children: one bit each. @see cgroup_control() */
  control(cgroup: Cgroup<T>): number {
    return cgroup.parent ? cgroup.parent.subtreeControl : (1 << this.subsystems.length) - 1;
  }

  /**
   * The state of the controller with index `place` for the cgroup, or for the nearest ancestor where it is enabled.
   *
   * @see cgroup_e_css()
   */
  effectiveCss(cgroup: Cgroup<T>, place: number): object {
    for (let at: Cgroup<T> | undefined = cgroup; at; at = at.parent) {
      const css = at.ownCss(place);
      if (css) return css;
    }
    throw new KernelBug(`the root has no ${this.subsystems[place]?.name}`);
  }

  /** The live cgroup at a path from the root of the hierarchy, or undefined. */
  find(path: string): Cgroup<T> | undefined {
    let at: Cgroup<T> | undefined = this.root;
    for (const name of path.split("/").filter(Boolean)) at = at?.child(name);
    return at;
  }

  /**
   * Creates a cgroup with the controllers that its parent enables for its children.
   *
   * @throws KernelError EINVAL for a name with a newline, ENODEV when the parent has been removed, EEXIST when the
   * name is taken, EAGAIN when max.descendants or max.depth of an ancestor is reached, and errors of a controller's
   * cssCreate(). Nothing was created then
   * @see cgroup_mkdir()
   */
  mkdir(parent: Cgroup<T>, name: string): Cgroup<T> {
    if (name.includes("\n")) throw new KernelError("EINVAL", "a cgroup can't have a newline in its name");
    this.assertAlive(parent);
    if (parent.child(name)) throw new KernelError("EEXIST", `${parent.path} has a cgroup ${name} already`);
    checkLimits(parent);
    const cgroup = new Cgroup(name, parent);
    this.createCsses([cgroup], parent.subtreeControl);
    cgroup.subtreeControl = this.rules.initialControl(parent.subtreeControl);
    parent.addChild(cgroup);
    for (const above of cgroup.ancestors()) above.nrDescendants++;
    return cgroup;
  }

  /**
   * Removes a cgroup. Charges that its controllers still hold keep the cgroup dying.
   *
   * @throws KernelError EBUSY for the root, and while the cgroup has tasks or children
   * @see cgroup_rmdir(), cgroup_destroy_locked()
   */
  rmdir(cgroup: Cgroup<T>): void {
    const { parent } = cgroup;
    if (cgroup.dead) return;
    if (!parent) throw new KernelError("EBUSY", "the root of the cgroups can't be removed");
    if (cgroup.populated)
      throw new KernelError("EBUSY", `${cgroup.path} has tasks in it or below: move or end them first`);
    if (cgroup.hasChildren)
      throw new KernelError("EBUSY", `${cgroup.path} has cgroups below: remove them first`);
    cgroup.dead = true;
    parent.removeChild(cgroup);
    for (const above of cgroup.ancestors()) {
      above.nrDescendants--;
      above.nrDyingDescendants++;
    }
    this.subsystems.forEach((_, place) => this.killCss(cgroup, place));
    cgroup.put();
  }

  /** The cgroup of a task. @throws KernelBug for a task that wasn't forked or has exited */
  cgroupOf(task: T): Cgroup<T> {
    const cgroup = this.homes.get(task);
    if (!cgroup) throw new KernelBug(`process ${task.pid} is in no cgroup`);
    return cgroup;
  }

  /** Adds a new task to its parent's cgroup, or to the root when there is no parent. @see cgroup_post_fork() */
  fork(child: T, parent: T | undefined): void {
    bugOn(this.homes.has(child), `process ${child.pid} begins twice`);
    this.enter(child, parent ? this.cgroupOf(parent) : this.root);
  }

  /** Removes an exiting task from its cgroup. @see cgroup_exit() */
  exit(task: T): void {
    this.cgroupOf(task).removeTask(task);
    this.homes.delete(task);
    for (const subsys of this.subsystems) subsys.exit(task);
  }

  /**
   * Moves a task. Its charges stay in the old cgroup.
   *
   * @throws KernelError ENODEV when the cgroup has been removed, EBUSY when it has controllers enabled for its
   * children
   * @see cgroup_attach_task(), cgroup_migrate_vet_dst()
   */
  attach(task: T, to: Cgroup<T>): void {
    this.vetDestination(to);
    const from = this.cgroupOf(task);
    if (from === to) return;
    from.removeTask(task);
    this.enter(task, to);
  }

  /** Checks that a cgroup may receive tasks. @throws KernelError ENODEV, EBUSY as attach() */
  vetDestination(to: Cgroup<T>): void {
    this.assertAlive(to);
    if (!this.rules.internalTasks && to.parent && to.subtreeControl !== 0)
      throw new KernelError(
        "EBUSY",
        `${to.path} has controllers enabled for its children: a process goes into one of them`,
      );
  }

  /** @throws KernelError ENODEV @see cgroup_kn_lock_live() */
  assertAlive(cgroup: Cgroup<T>): void {
    if (cgroup.dead) throw new KernelError("ENODEV", `the cgroup ${cgroup.path} has been removed`);
  }

  /**
   * Creates controllers' states for cgroups that have no tasks or children with them yet.
   *
   * @param mask the controllers, one bit each
   * @throws the error of a controller's cssCreate(); nothing was created then
   * @see cgroup_apply_control_enable()
   */
  createCsses(cgroups: readonly Cgroup<T>[], mask: number): void {
    const made: [Cgroup<T>, number][] = [];
    try {
      for (const cgroup of cgroups) {
        for (const place of placesOf(mask)) {
          this.createCss(cgroup, place);
          made.push([cgroup, place]);
        }
      }
    } catch (error) {
      for (const [cgroup, place] of made.toReversed()) this.killCss(cgroup, place);
      throw error;
    }
  }

  /**
   * Takes a controller's state offline; tasks are accounted to the nearest enabled ancestor from now on.
   *
   * @see kill_css()
   */
  killCss(cgroup: Cgroup<T>, place: number): void {
    const css = cgroup.ownCss(place);
    if (!css) return;
    cgroup.setCss(place, undefined);
    this.reattach(cgroup, place);
    this.subsystems[place]?.cssOffline(css, () => cgroup.put());
  }

  /**
   * Tells a controller the state that each task of a subtree is accounted to from now on.
   *
   * @see cgroup_update_dfl_csses()
   */
  reattach(cgroup: Cgroup<T>, place: number): void {
    for (const at of cgroup.subtree())
      for (const task of at.tasks) this.subsystems[place]?.attach(task, this.effectiveCss(at, place));
  }

  private createCss(cgroup: Cgroup<T>, place: number): void {
    const subsys = this.subsystems[place];
    if (!subsys || !cgroup.parent) throw new KernelBug(`no controller ${place} for ${cgroup.path}`);
    cgroup.setCss(place, subsys.cssCreate(this.effectiveCss(cgroup.parent, place), cgroup.name));
    cgroup.get();
  }

  private enter(task: T, cgroup: Cgroup<T>): void {
    cgroup.addTask(task);
    this.homes.set(task, cgroup);
    this.subsystems.forEach((subsys, place) => subsys.attach(task, this.effectiveCss(cgroup, place)));
  }
}

/** Indexes of the controllers in a mask. */
export function placesOf(mask: number): number[] {
  const places: number[] = [];
  for (let place = 0; mask >> place !== 0; place++) if ((mask >> place) & 1) places.push(place);
  return places;
}

/** @see cgroup_check_hierarchy_limits() */
function checkLimits(parent: Cgroup): void {
  let depth = 0;
  for (let at: Cgroup | undefined = parent; at; at = at.parent) {
    if (at.nrDescendants >= at.maxDescendants)
      throw new KernelError(
        "EAGAIN",
        `${at.path} allows ${at.maxDescendants} cgroups below it, and has them`,
      );
    if (depth++ >= at.maxDepth)
      throw new KernelError("EAGAIN", `${at.path} allows a depth of ${at.maxDepth} below it`);
  }
}
