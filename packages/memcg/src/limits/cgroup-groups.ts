// Implements the ports of mm's reclaim and OOM killer with the memory cgroups. Kernel counterparts:
// mem_cgroup_iter(), mem_cgroup_get_nr_swap_pages() and mem_cgroup_get_oom_group() in mm/memcontrol.c.
import type { NodeId, Sleeps } from "@hetmem/kernel";
import type { MmStruct, Process } from "@hetmem/mm";
import type { Lruvec } from "@hetmem/mm/lru";
import type { MemoryRequest, OomControl, OomGroup, ReclaimGroup, ReclaimGroups } from "@hetmem/mm/ports";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import { machineUsage } from "./machine-usage.ts";
import { calculateProtection, type UnclaimedProtection } from "./protection.ts";
import type { ShortageListener } from "./shortage-listener.ts";
import type { Stalls } from "./stalls.ts";

/** Reclaim's port to one memory cgroup. */
export class CgroupGroup implements ReclaimGroup {
  readonly cgroup: MemoryCgroup;
  private readonly memcgs: MemoryCgroups;

  constructor(memcgs: MemoryCgroups, cgroup: MemoryCgroup) {
    this.memcgs = memcgs;
    this.cgroup = cgroup;
  }

  lruvec(node: NodeId): Lruvec | undefined {
    return this.memcgs.lruvecs.find(this.cgroup, node);
  }

  get online(): boolean {
    return this.cgroup.online;
  }

  get size(): number {
    return this.cgroup.memory.usage;
  }

  get effectiveMin(): number {
    return this.cgroup.memory.emin;
  }

  get effectiveLow(): number {
    return this.cgroup.memory.elow;
  }

  get swapPagesLeft(): number {
    let left = this.memcgs.vm.swap.freePages;
    for (let at = this.cgroup; at.parent !== undefined; at = at.parent)
      left = Math.min(left, at.swap.max - at.swap.usage);
    return left;
  }

  get swappiness(): number {
    return this.cgroup.swappiness ?? this.memcgs.vm.tunables.swappiness;
  }
}

export class CgroupGroups implements ReclaimGroups {
  /** Follows shortages and kills. */
  listener: ShortageListener | undefined = undefined;
  private readonly memcgs: MemoryCgroups;
  private readonly stalls: Stalls;
  private readonly unclaimed: UnclaimedProtection;
  private readonly known = new WeakMap<MemoryCgroup, CgroupGroup>();

  constructor(memcgs: MemoryCgroups, stalls: Stalls, unclaimed: UnclaimedProtection) {
    this.memcgs = memcgs;
    this.stalls = stalls;
    this.unclaimed = unclaimed;
  }

  /** The port object of a cgroup; one object per cgroup. */
  of(cgroup: MemoryCgroup): CgroupGroup {
    const known = this.known.get(cgroup);
    if (known) return known;
    const group = new CgroupGroup(this.memcgs, cgroup);
    this.known.set(cgroup, group);
    return group;
  }

  *hierarchy(target: ReclaimGroup | undefined): Generator<ReclaimGroup, void, void> {
    const top = cgroupOf(target) ?? this.memcgs.root;
    const { charging } = this.memcgs;
    let at: MemoryCgroup | undefined = top;
    charging.pin(top, 1);
    try {
      while (at !== undefined) {
        yield this.of(at);
        const next = following(at, top);
        if (next) charging.pin(next, 1);
        charging.pin(at, -1);
        at = next;
      }
    } finally {
      if (at) charging.pin(at, -1);
    }
  }

  calculateProtection(target: ReclaimGroup | undefined, group: ReclaimGroup): void {
    const cgroup = cgroupOf(group);
    if (cgroup) calculateProtection(cgroupOf(target), cgroup, this.unclaimed);
  }

  noteLow(group: ReclaimGroup): void {
    cgroupOf(group)?.noteEvent("low");
  }

  pathOf({ mm }: Process): string {
    return mm ? this.memcgs.ofMm(mm).path : this.memcgs.root.path;
  }

  *directReclaim({ mm, current, order }: MemoryRequest, reclaim: Sleeps<number>): Sleeps<number> {
    const { root, stats, vm } = this.memcgs;
    const payer = mm ? this.memcgs.ofMm(mm) : root;
    const { usage, total } = machineUsage(vm);
    const scannedBefore = stats.cgroup(root, "pgscan_direct");
    const reclaimed = yield* this.stalls.during(payer, reclaim);
    this.listener?.attempted(root, {
      atNs: vm.kernel.clock.nowNs,
      payer: payer.path,
      over: root.path,
      pid: current?.pid,
      comm: current?.comm,
      pages: 1 << order,
      usage,
      max: total,
      scanned: stats.cgroup(root, "pgscan_direct") - scannedBefore,
      reclaimed,
      drained: 0,
    });
    return reclaimed;
  }

  noteShortage(control: OomControl): void {
    this.listener?.outOfMemory(control, cgroupOf(control.group) ?? this.memcgs.root);
  }

  noteOomKill(victim: Process, mm: MmStruct, control: OomControl): void {
    const cgroup = this.memcgs.ofMm(mm);
    cgroup.noteEvent("oom_kill");
    this.listener?.killed(control, victim, cgroup);
  }

  oomGroupOf({ mm }: Process, domain: ReclaimGroup | undefined): OomGroup | undefined {
    const own = mm && this.memcgs.ofMm(mm);
    const top = cgroupOf(domain) ?? this.memcgs.root;
    // The victim was moved out of the OOM domain meanwhile: no group is killed with it.
    if (!own?.isBelowOrSame(top)) return undefined;
    let group: MemoryCgroup | undefined;
    for (const at of own.upwards()) {
      if (at.oomGroup) group = at;
      if (at === top) break;
    }
    return group && this.killedTogether(group);
  }

  /** Processes of a cgroup and its descendants. */
  *processesOf(cgroup: MemoryCgroup): Generator<Process, void, void> {
    const { memcgs } = this;
    for (const process of memcgs.vm.processes)
      if (process.mm && memcgs.ofMm(process.mm).isBelowOrSame(cgroup)) yield process;
  }

  private killedTogether(cgroup: MemoryCgroup): OomGroup {
    return {
      path: cgroup.path,
      processes: () => [...this.processesOf(cgroup)],
      noteKill: () => cgroup.noteEvent("oom_group_kill"),
    };
  }
}

function cgroupOf(group: ReclaimGroup | undefined): MemoryCgroup | undefined {
  return group instanceof CgroupGroup ? group.cgroup : undefined;
}

/** The next cgroup in pre-order below `top`. */
function following(cgroup: MemoryCgroup, top: MemoryCgroup): MemoryCgroup | undefined {
  if (cgroup.firstChild) return cgroup.firstChild;
  for (let at: MemoryCgroup | undefined = cgroup; at !== undefined && at !== top; at = at.parent)
    if (at.nextSibling) return at.nextSibling;
  return undefined;
}
