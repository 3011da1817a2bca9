// What led to each kill, in a cgroup or on the whole machine: the charges that limits have refused, or the pages that the
// machine didn't have, what reclaim found in answer to each, and how everybody stood when somebody was chosen. The last
// steps are kept in a ring; a kill takes those of its shortage out of it into a report. Only what was refused is noted, so
// that nobody pays for this who gets what he asks for. The kernel has no counterpart but its log.
import type { OomControl, Process } from "@hetmem/mm";
import { oomBadness, Rss } from "@hetmem/mm";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { NodeItem } from "../stat/items.ts";
import { machineUsage } from "./machine-usage.ts";

/** What was refused and what was done about it. Pages; nanoseconds since boot. */
export interface LimitStep {
  readonly atNs: number;
  /** Who was to pay, and whose limit it was: "/" where the machine had no more. */
  readonly payer: string;
  readonly over: string;
  /** For whom; undefined: for nobody who runs. */
  readonly pid: number | undefined;
  readonly comm: string | undefined;
  /** What was asked for. */
  readonly pages: number;
  /** What was in use of what may be. */
  readonly usage: number;
  readonly max: number;
  /** What reclaim looked at and freed, and what was taken back from the stocks of cpus. */
  readonly scanned: number;
  readonly reclaimed: number;
  readonly drained: number;
}

/** Somebody who could have been killed. */
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
  /** Pages, with the adjustment; undefined: must not be killed, or had been already. */
  readonly badness: number | undefined;
}

export interface OomKill {
  readonly pid: number;
  readonly comm: string;
  readonly cgroup: string;
}

/** One shortage, and who was killed for it. */
export interface OomReport {
  readonly atNs: number;
  /** What was short: a cgroup, the machine, or the nodes that a policy binds somebody to. */
  readonly shortage: "cgroup" | "machine" | "nodes";
  /** The cgroup, or "/". */
  readonly cgroup: string;
  /** Who asked for memory; undefined: nobody who runs. */
  readonly invokedBy: { readonly pid: number; readonly comm: string } | undefined;
  /** Of the cgroup, or of the machine: its RAM, and its swap. */
  readonly usage: number;
  readonly max: number;
  readonly swapUsage: number;
  readonly swapMax: number;
  /** What the machine had left of its swap. */
  readonly swapFree: number;
  /** What of it could not go: pages that are locked, the kernel's, and anonymous ones without room in swap. */
  readonly unevictable: number;
  readonly kernel: number;
  readonly anon: number;
  readonly file: number;
  /** What led to it, the first first. */
  readonly chain: readonly LimitStep[];
  readonly candidates: readonly OomCandidate[];
  /** In the order in which they were killed; a group's victim is in it twice, as the kernel counts it. */
  readonly killed: OomKill[];
}

/** Steps that are remembered, of all cgroups. */
const MAX_STEPS = 256;
/** Reports that are kept. */
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

export class OomHistory {
  private readonly memcgs: MemoryCgroups;
  private readonly reports: OomReport[] = [];
  private steps: { readonly over: MemoryCgroup; readonly step: LimitStep }[] = [];
  /** Shortages that somebody is about to be killed for. */
  private readonly open = new WeakMap<OomControl, OomReport>();

  constructor(memcgs: MemoryCgroups) {
    this.memcgs = memcgs;
  }

  /** Kills in a cgroup and below it, for whatever shortage, the oldest first. */
  of(cgroup: MemoryCgroup): OomReport[] {
    const { path } = cgroup;
    const below = cgroup.isRoot ? "/" : `${path}/`;
    const isInside = (other: string): boolean => other === path || other.startsWith(below);
    return this.reports.filter(
      (report) => isInside(report.cgroup) || report.killed.some((victim) => isInside(victim.cgroup)),
    );
  }

  /** Something was refused, and something was done about it. @param over the root where the machine had no more */
  noteStep(over: MemoryCgroup, step: LimitStep): void {
    if (this.steps.length === MAX_STEPS) this.steps.shift();
    this.steps.push({ over, step });
  }

  /** Somebody is about to be killed. @param over the root where the machine is short */
  begin(control: OomControl, over: MemoryCgroup): void {
    const { vm } = this.memcgs;
    const { current } = control;
    // The limit of a cgroup doesn't make the machine short.
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

  /** Somebody is killed. A shortage without a kill is none. */
  noteKill(control: OomControl, process: Process, cgroup: MemoryCgroup): void {
    const report = this.open.get(control);
    if (!report) return;
    report.killed.push({ pid: process.pid, comm: process.comm, cgroup: cgroup.path });
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

  /** By the lists of its RAM: what devices have doesn't make it short. What is on none is the kernel's, charged or not. */
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
        badness: oomBadness(process, totalPages),
      },
    ];
  }
}
