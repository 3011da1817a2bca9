// One memory cgroup: its counters, its settings, and its place among the others. It lives for as long as anything is
// charged to it or below it: the pages of a cgroup that was removed keep it. Kernel counterpart: struct mem_cgroup in
// include/linux/memcontrol.h.
import { PageCounter } from "./page-counter.ts";

/** What a cgroup counts of its own fate. @see enum memcg_memory_event */
export const MEMORY_EVENTS = [
  "low",
  "high",
  "max",
  "oom",
  "oom_kill",
  "oom_group_kill",
  "swap_high",
  "swap_max",
  "swap_fail",
] as const;
export type MemoryEvent = (typeof MEMORY_EVENTS)[number];

const NR_EVENTS: number = MEMORY_EVENTS.length;
/** Of a cgroup to which nothing has happened: never written. */
const NOTHING: Uint32Array = new Uint32Array(NR_EVENTS * 2);

export class MemoryCgroup {
  /** What pages carry: 1 is the root. Given anew once nothing is left of this one. @see mem_cgroup_id() */
  readonly id: number;
  readonly name: string;
  readonly parent: MemoryCgroup | undefined;
  readonly memory: PageCounter;
  /** Swap slots that it pays for. */
  readonly swap: PageCounter;
  /** Of `memory`, pages that the kernel has for itself. */
  readonly kmem: PageCounter;
  /** Whether there still is a directory of it. @see css_is_online() */
  online = true;
  /** What reclaim of it goes by, in the older hierarchy; undefined: as the machine. @see memory.swappiness */
  swappiness: number | undefined = undefined;
  /** A kill takes all of it. @see memory.oom.group */
  oomGroup = false;
  /** Its kernel charges carry this id, which outlives it as another's; 0: it never had any. @see struct obj_cgroup */
  kernelId = 0;
  /** Siblings are linked, the youngest first. */
  firstChild: MemoryCgroup | undefined = undefined;
  nextSibling: MemoryCgroup | undefined = undefined;
  previousSibling: MemoryCgroup | undefined = undefined;
  private happened: Uint32Array = NOTHING;

  constructor(id: number, name: string, parent: MemoryCgroup | undefined) {
    this.id = id;
    this.name = name;
    this.parent = parent;
    this.memory = new PageCounter(parent?.memory);
    this.swap = new PageCounter(parent?.swap);
    this.kmem = new PageCounter(parent?.kmem);
  }

  get isRoot(): boolean {
    return this.parent === undefined;
  }

  /** From the root of the hierarchy: "/", "/a/b". */
  get path(): string {
    if (this.parent === undefined) return "/";
    return this.parent.isRoot ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }

  /** Those right below it, removed ones that still pay for something among them. */
  *children(): Generator<MemoryCgroup, void, void> {
    for (let at = this.firstChild; at !== undefined; at = at.nextSibling) yield at;
  }

  /** Itself, then all below, parents before their children. @see mem_cgroup_iter() */
  *subtree(): Generator<MemoryCgroup, void, void> {
    yield this;
    for (const child of this.children()) yield* child.subtree();
  }

  /** Itself, then those above up to the root. */
  *upwards(): Generator<MemoryCgroup, void, void> {
    yield this;
    for (let at = this.parent; at !== undefined; at = at.parent) yield at;
  }

  /** @see mem_cgroup_is_descendant() */
  isBelowOrSame(other: MemoryCgroup): boolean {
    return this === other || (this.parent?.isBelowOrSame(other) ?? false);
  }

  /** Itself, or the nearest one above that hasn't been removed. @see mem_cgroup_id_get_online() */
  get onlineOrAbove(): MemoryCgroup {
    return this.online || this.parent === undefined ? this : this.parent.onlineOrAbove;
  }

  /** Something happened to it: counted here, and for itself and each cgroup above in what events() says. @see memcg_memory_event() */
  noteEvent(event: MemoryEvent): void {
    const item = MEMORY_EVENTS.indexOf(event);
    this.countEvent(NR_EVENTS + item);
    for (const at of this.upwards()) at.countEvent(item);
  }

  /** Times that something happened to it or to a cgroup below. @see memory.events */
  events(event: MemoryEvent): number {
    return this.happened[MEMORY_EVENTS.indexOf(event)] as number;
  }

  /** Times that it happened to this one itself. @see memory.events.local */
  localEvents(event: MemoryEvent): number {
    return this.happened[NR_EVENTS + MEMORY_EVENTS.indexOf(event)] as number;
  }

  private countEvent(item: number): void {
    if (this.happened === NOTHING) this.happened = new Uint32Array(NR_EVENTS * 2);
    this.happened[item] = (this.happened[item] as number) + 1;
  }
}
