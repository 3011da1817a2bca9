// One cgroup: its place in the tree, who is in it, and what controllers have made for it. Ten thousand of them are normal,
// so that what most of them don't have is not there. Kernel counterpart: struct cgroup in include/linux/cgroup-defs.h.
import type { CgroupTask } from "./subsys.ts";

export class Cgroup<T extends CgroupTask = CgroupTask> {
  readonly name: string;
  readonly parent: Cgroup<T> | undefined;
  /** Of the root, 0. */
  readonly level: number;
  /** No longer there, as far as user space can tell. @see cgroup_is_dead() */
  dead = false;
  /** Controllers enabled for its children: a bit each, by their place in the hierarchy's list. */
  subtreeControl = 0;
  /** Cgroups below that are alive, and those that aren't and still pay for something. */
  nrDescendants = 0;
  nrDyingDescendants = 0;
  maxDescendants: number = Number.POSITIVE_INFINITY;
  maxDepth: number = Number.POSITIVE_INFINITY;
  private byName: Map<string, Cgroup<T>> | undefined = undefined;
  private members: Set<T> | undefined = undefined;
  /** What controllers keep for it, by their place; a hole where one isn't enabled. */
  private readonly states: (object | undefined)[] = [];
  /** One for tasks of its own, and one for each child with tasks in it or below. */
  private nrPopulated = 0;
  /** Its directory, what controllers keep for it, and its children, until nothing is left of them. */
  private references = 1;

  constructor(name: string, parent: Cgroup<T> | undefined) {
    this.name = name;
    this.parent = parent;
    this.level = parent ? parent.level + 1 : 0;
  }

  /** From the root of the hierarchy: "/", "/a/b". @see cgroup_path_ns() */
  get path(): string {
    if (!this.parent) return "/";
    return this.parent.parent ? `${this.parent.path}/${this.name}` : `/${this.name}`;
  }

  /** Whether there are tasks in it or below. @see cgroup_is_populated() */
  get populated(): boolean {
    return this.nrPopulated > 0;
  }

  get hasTasks(): boolean {
    return this.members !== undefined && this.members.size > 0;
  }

  /** In the order in which they came. */
  get tasks(): Iterable<T> {
    return this.members ?? [];
  }

  /** Those right below it that are alive. */
  get children(): Iterable<Cgroup<T>> {
    return this.byName?.values() ?? [];
  }

  get hasChildren(): boolean {
    return this.byName !== undefined && this.byName.size > 0;
  }

  child(name: string): Cgroup<T> | undefined {
    return this.byName?.get(name);
  }

  /** Itself and all that are alive below, parents before their children. @see css_next_descendant_pre() */
  *subtree(): Generator<Cgroup<T>, void, void> {
    yield this;
    for (const child of this.children) yield* child.subtree();
  }

  /** Those above it, from its parent on. */
  *ancestors(): Generator<Cgroup<T>, void, void> {
    for (let at = this.parent; at; at = at.parent) yield at;
  }

  /** What a controller keeps for this cgroup itself, by the controller's place. @see cgroup_css() */
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

  /** Something holds it, although its directory may go. @see cgroup_get_live() */
  get(): void {
    this.references++;
  }

  /** That has gone; with the last of them the cgroup is no longer among the dying. @see css_release_work_fn() */
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
