// One cgroup: its place in the hierarchy, its tasks, and the state of each controller. A machine may have ten
// thousand cgroups, so maps and sets are allocated at first use. Kernel counterpart: struct cgroup in
// include/linux/cgroup-defs.h.
import type { CgroupTask } from "./subsys.ts";
import "./version.ts";

export class Cgroup<T extends CgroupTask = CgroupTask> {
  readonly name: string;
  readonly parent: Cgroup<T> | undefined;
  /** Depth in the hierarchy; 0 for the root. */
  readonly level: number;
  /** Removed from user space's view. @see cgroup_is_dead() */
  dead = false;
  /** Controllers enabled for the children: one bit each, by index into the hierarchy's `subsystems`. */
  subtreeControl = 0;
  /** Live descendants, and removed ones whose controllers still hold state for them. */
  nrDescendants = 0;
  nrDyingDescendants = 0;
  maxDescendants: number = Number.POSITIVE_INFINITY;
  maxDepth: number = Number.POSITIVE_INFINITY;
  private byName: Map<string, Cgroup<T>> | undefined = undefined;
  private members: Set<T> | undefined = undefined;
  /** State per controller, by the controller's index; undefined where the controller isn't enabled. */
  private readonly states: (object | undefined)[] = [];
  /** One for the cgroup's own tasks, plus one for each populated child. */
  private nrPopulated = 0;
  /** One reference each for the directory, each controller's state, and each child. */
  private references = 1;

  constructor(name: string, parent: Cgroup<T> | undefined) {
    this.name = name;
    this.parent = parent;
    this.level = parent ? parent.level + 1 : 0;
  }

  /** Path from the root of the hierarchy: "/", "/a/b". @see cgroup_path_ns() */
  get path(): string {
    if (!this.parent) return "/";
    return this.parent.parent ? `${this.parent.path}/${this.name}` : `/${this.name}`;
  }

  /** Whether the cgroup or a descendant has tasks. @see cgroup_is_populated() */
  get populated(): boolean {
    return this.nrPopulated > 0;
  }

  get hasTasks(): boolean {
    return this.members !== undefined && this.members.size > 0;
  }

  /** In order of arrival. */
  get tasks(): Iterable<T> {
    return this.members ?? [];
  }

  /** Live children. */
  get children(): Iterable<Cgroup<T>> {
    return this.byName?.values() ?? [];
  }

  get hasChildren(): boolean {
    return this.byName !== undefined && this.byName.size > 0;
  }

  child(name: string): Cgroup<T> | undefined {
    return this.byName?.get(name);
  }

  /** The cgroup and its live descendants in pre-order. @see css_next_descendant_pre() */
  *subtree(): Generator<Cgroup<T>, void, void> {
    yield this;
    for (const child of this.children) yield* child.subtree();
  }

  /** The parent, its parent, and so on to the root. */
  *ancestors(): Generator<Cgroup<T>, void, void> {
    for (let at = this.parent; at; at = at.parent) yield at;
  }

  /**
   * The state of the controller with index `place` in this very cgroup; undefined where it isn't enabled.
   *
   * @see cgroup_css()
   */
  ownCss(place: number): object | undefined {
    return this.states[place];
  }

  setCss(place: number, css: object | undefined): void {
    this.states[place] = css;
  }

  addChild(child: Cgroup<T>): void {
    this.byName ??= new Map();
    this.byName.set(child.name, child);
    this.get();
  }

  removeChild(child: Cgroup<T>): void {
    this.byName?.delete(child.name);
    if (this.byName?.size === 0) this.byName = undefined;
  }

  /** Takes a reference, which keeps the cgroup dying after rmdir. @see cgroup_get_live() */
  get(): void {
    this.references++;
  }

  /** Drops a reference. The last one ends the dying state. @see css_release_work_fn() */
  put(): void {
    if (--this.references > 0) return;
    for (const above of this.ancestors()) above.nrDyingDescendants--;
    this.parent?.put();
  }

  addTask(task: T): void {
    this.members ??= new Set();
    this.members.add(task);
    if (this.members.size === 1) this.countPopulated(1);
  }

  removeTask(task: T): void {
    if (!this.members?.delete(task) || this.members.size > 0) return;
    this.members = undefined;
    this.countPopulated(-1);
  }

  /** @see cgroup_update_populated() */
  private countPopulated(change: 1 | -1): void {
    const before = this.nrPopulated;
    this.nrPopulated += change;
    if ((before === 0) !== (this.nrPopulated === 0)) this.parent?.countPopulated(change);
  }
}
