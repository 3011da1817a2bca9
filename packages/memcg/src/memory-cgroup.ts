// One memory cgroup: counters, settings, and its place in the hierarchy. A removed cgroup exists until nothing is
// charged to it or its descendants. Kernel counterpart: struct mem_cgroup in include/linux/memcontrol.h.
import { acrossCopies } from "@hetmem/kernel";
import { PageCounter } from "./page-counter.ts";
import "./version.ts";

/** Events counted per cgroup. @see enum memcg_memory_event */
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
/** Shared zeros for cgroups without events. Never written. */
const NOTHING: Uint32Array = new Uint32Array(NR_EVENTS * 2);

export class MemoryCgroup {
  static {
    acrossCopies(this, "MemoryCgroup");
  }

  /** Id recorded in charged pages; 1 is the root. Reused after the cgroup is freed. @see mem_cgroup_id() */
  readonly id: number;
  readonly name: string;
  readonly parent: MemoryCgroup | undefined;
  readonly memory: PageCounter;
  /** Charged swap slots. */
  readonly swap: PageCounter;
  /** Kernel memory in pages, a part of `memory`. */
  readonly kmem: PageCounter;
  /** Whether the cgroup's directory exists. @see css_is_online() */
  online = true;
  /** Swappiness in the legacy hierarchy, 0 to 200; undefined uses the machine's. @see memory.swappiness */
  swappiness: number | undefined = undefined;
  /** Whether the OOM killer kills all processes of the cgroup together. @see memory.oom.group */
  oomGroup = false;
  /** Id of its kernel memory, reparented on removal; 0 before the first kernel charge. @see struct obj_cgroup */
  kernelId = 0;
  /** Links to children and siblings, youngest first. */
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

  /** Path from the root of the hierarchy: "/", "/a/b". */
  get path(): string {
    if (this.parent === undefined) return "/";
    return this.parent.isRoot ? `/${this.name}` : `${this.parent.path}/${this.name}`;
  }

  /** Children, including removed ones with charges left. */
  *children(): Generator<MemoryCgroup, void, void> {
    for (let at = this.firstChild; at !== undefined; at = at.nextSibling) yield at;
  }

  /** The cgroup and its descendants in pre-order. @see mem_cgroup_iter() */
  *subtree(): Generator<MemoryCgroup, void, void> {
    yield this;
    for (const child of this.children()) yield* child.subtree();
  }

  /** The cgroup, its parent, and so on to the root. */
  *upwards(): Generator<MemoryCgroup, void, void> {
    yield this;
    for (let at = this.parent; at !== undefined; at = at.parent) yield at;
  }

  /** @see mem_cgroup_is_descendant() */
  isBelowOrSame(other: MemoryCgroup): boolean {
    return this === other || (this.parent?.isBelowOrSame(other) ?? false);
  }

  /** The cgroup itself if online, else its nearest online ancestor. @see mem_cgroup_id_get_online() */
  get onlineOrAbove(): MemoryCgroup {
    return this.online || this.parent === undefined ? this : this.parent.onlineOrAbove;
  }

  /** Counts an event locally, and in events() of the cgroup and all ancestors. @see memcg_memory_event() */
  noteEvent(event: MemoryEvent): void {
    const item = MEMORY_EVENTS.indexOf(event);
    this.countEvent(NR_EVENTS + item);
    for (const at of this.upwards()) at.countEvent(item);
  }

  /** Number of events in the cgroup and its descendants. @see memory.events */
  events(event: MemoryEvent): number {
    return this.happened[MEMORY_EVENTS.indexOf(event)] as number;
  }

  /** Number of events in the cgroup itself. @see memory.events.local */
  localEvents(event: MemoryEvent): number {
    return this.happened[NR_EVENTS + MEMORY_EVENTS.indexOf(event)] as number;
  }

  private countEvent(item: number): void {
    if (this.happened === NOTHING) this.happened = new Uint32Array(NR_EVENTS * 2);
    this.happened[item] = (this.happened[item] as number) + 1;
  }
}
