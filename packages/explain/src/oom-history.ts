// The history of each kill, in a cgroup or on the whole machine: the charges that limits refused, or the pages that the
// machine didn't have, the result of reclaim for each, and the figures of every candidate when the victim was chosen. The
// last steps are kept in a ring; a kill takes the steps of its shortage out of the ring into a report. Charges that fit are
// not recorded and cost nothing. The kernel's counterpart is its log: dump_header() in mm/oom_kill.c.
import {
  type Limits,
  type LimitStep,
  machineUsage,
  type MemoryCgroup,
  type MemoryCgroups,
  type NodeItem,
  type ShortageListener,
} from "@hetmem/memcg";
import { type Process, Rss } from "@hetmem/mm";
import type { OomControl } from "@hetmem/mm/ports";

/** A process that the OOM killer could have chosen. */
export interface OomCandidate {
  readonly pid: number;
  readonly comm: string;
  readonly cgroup: string;
  readonly anon: number;
  readonly file: number;
  readonly shmem: number;
  readonly swap: number;
  readonly pageTables: number;
  readonly oomScoreAdj: number;
  /** Pages, with the adjustment; undefined for a process that must not be killed, or was killed before. */
  readonly badness: number | undefined;
}

export interface OomKill {
  readonly pid: number;
  readonly comm: string;
  readonly cgroup: string;
}

/** One shortage, and the processes that were killed for it. */
export interface OomReport {
  readonly atNs: number;
  /** The kind of shortage: of a cgroup, of the machine, or of the nodes that a memory policy allows. */
  readonly shortage: "cgroup" | "machine" | "nodes";
  /** Path of the cgroup that was short; "/" for the machine. */
  readonly cgroup: string;
  /** The process that asked for memory; undefined when no process runs in the address space. */
  readonly invokedBy: { readonly pid: number; readonly comm: string } | undefined;
  /** Pages of RAM and of swap, of the cgroup or of the machine. */
  readonly usage: number;
  readonly max: number;
  readonly swapUsage: number;
  readonly swapMax: number;
  /** Free swap of the machine, in pages. */
  readonly swapFree: number;
  /** Pages in use by kind: mlocked, of the kernel, anonymous, of files. */
  readonly unevictable: number;
  readonly kernel: number;
  readonly anon: number;
  readonly file: number;
  /** The attempts to make room before the kill, in order. */
  readonly chain: readonly LimitStep[];
  readonly candidates: readonly OomCandidate[];
  /** The victims in order; the first victim of a memory.oom.group is listed twice, as the kernel counts it. */
  readonly killed: OomKill[];
}

/** Steps in the ring, of all cgroups together. */
const MAX_STEPS = 256;
/** Reports kept; the oldest is dropped. */
const MAX_REPORTS = 32;

const SHORTAGES = {
  CONSTRAINT_NONE: "machine",
  CONSTRAINT_MEMORY_POLICY: "nodes",
  CONSTRAINT_MEMCG: "cgroup",
} as const;

type Figures = Pick<
  OomReport,
  "usage" | "max" | "swapUsage" | "swapMax" | "unevictable" | "anon" | "file" | "kernel"
>;

/** Records shortages and kills from its creation on. */
export class OomHistory implements ShortageListener {
  private readonly memcgs: MemoryCgroups;
  private readonly reports: OomReport[] = [];
  private steps: { readonly over: MemoryCgroup; readonly step: LimitStep }[] = [];
  /** Reports of shortages in progress, without a victim so far. */
  private readonly open = new WeakMap<OomControl, OomReport>();

  constructor({ memcgs, groups }: Limits) {
    this.memcgs = memcgs;
    groups.listener = this;
  }

  /** Reports of kills in a cgroup and below it, for any shortage, the oldest first. */
  of(cgroup: MemoryCgroup): OomReport[] {
    const { path } = cgroup;
    const below = cgroup.isRoot ? "/" : `${path}/`;
    const isInside = (other: string): boolean => other === path || other.startsWith(below);
    return this.reports.filter(
      (report) => isInside(report.cgroup) || report.killed.some((victim) => isInside(victim.cgroup)),
    );
  }

  attempted(over: MemoryCgroup, step: LimitStep): void {
    if (this.steps.length === MAX_STEPS) this.steps.shift();
    this.steps.push({ over, step });
  }

  outOfMemory(control: OomControl, over: MemoryCgroup): void {
    const { vm } = this.memcgs;
    const { current } = control;
    // Attempts under a cgroup's limit are no part of a shortage of the machine.
    const chain = this.steps.filter((noted) =>
      over.isRoot ? noted.over.isRoot : noted.over.isBelowOrSame(over),
    );
    this.steps = this.steps.filter((noted) => !chain.includes(noted));
    this.open.set(control, {
      atNs: vm.kernel.clock.nowNs,
      shortage: SHORTAGES[control.constraint],
      cgroup: over.path,
      invokedBy: current && { pid: current.pid, comm: current.comm },
      ...(over.isRoot ? this.machineFigures(over) : this.cgroupFigures(over)),
      swapFree: vm.swap.freePages,
      chain: chain.map(({ step }) => step),
      candidates: [...control.candidates()].flatMap((process) => this.describe(process, control.totalPages)),
      killed: [],
    });
  }

  /** The report is kept from the first kill on: a shortage without a kill leaves none. */
  killed(control: OomControl, victim: Process, cgroup: MemoryCgroup): void {
    const report = this.open.get(control);
    if (!report) return;
    report.killed.push({ pid: victim.pid, comm: victim.comm, cgroup: cgroup.path });
    if (report.killed.length > 1) return;
    if (this.reports.length === MAX_REPORTS) this.reports.shift();
    this.reports.push(report);
  }

  private cgroupFigures(over: MemoryCgroup): Figures {
    const { stats } = this.memcgs;
    const { usage, max } = over.memory;
    return {
      usage,
      max,
      swapUsage: over.swap.usage,
      swapMax: over.swap.max,
      unevictable: stats.allNodes(over, "nr_unevictable"),
      anon: stats.allNodes(over, "nr_anon_pages"),
      file: stats.allNodes(over, "nr_file_pages"),
      kernel: stats.cgroup(over, "kmem"),
    };
  }

  /** Pages of RAM by LRU list; device memory doesn't count. Pages on no list count as the kernel's, charged or not. */
  private machineFigures(root: MemoryCgroup): Figures {
    const { vm, stats } = this.memcgs;
    const { usage, total } = machineUsage(vm);
    const { totalPages: swapMax, freePages } = vm.swap;
    const listed = (...items: NodeItem[]): number =>
      items.reduce((sum, item) => sum + stats.allNodes(root, item), 0);
    const anon = listed("nr_inactive_anon", "nr_active_anon");
    const file = listed("nr_inactive_file", "nr_active_file");
    const unevictable = listed("nr_unevictable");
    const kernel = usage - anon - file - unevictable;
    return { usage, max: total, swapUsage: swapMax - freePages, swapMax, unevictable, anon, file, kernel };
  }

  private describe(process: Process, totalPages: number): OomCandidate[] {
    const { mm, pid, comm, oomScoreAdj } = process;
    if (!mm) return [];
    const rss = (kind: number): number => mm.rss[kind] as number;
    return [
      {
        pid,
        comm,
        cgroup: this.memcgs.ofMm(mm).path,
        anon: rss(Rss.anon),
        file: rss(Rss.file),
        shmem: rss(Rss.shmem),
        swap: rss(Rss.swapEntries),
        pageTables: mm.pageTable.tables - 1,
        oomScoreAdj,
        badness: mm.vm.oomChoice.oomBadness(process, totalPages),
      },
    ];
  }
}
