// What led to each kill: the charges that limits have refused, what reclaim found in answer to each, and how everybody
// stood when somebody was chosen. The last steps are kept in a ring; a kill takes those of its cgroup out of it into a
// report. Only refused charges are noted, so that nobody pays for this who stays below his limits. The kernel has no
// counterpart but its log.
import type { Process } from "@hetmem/mm";
import { oomBadness, Rss } from "@hetmem/mm";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

/** A charge that was refused and what was done about it. Pages; nanoseconds since boot. */
export interface LimitStep {
  readonly atNs: number;
  /** Who was to pay, and whose limit it was. */
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
  readonly cgroup: string;
  readonly usage: number;
  readonly max: number;
  readonly swapUsage: number;
  readonly swapMax: number;
  /** What of the cgroup could not go: pages that are locked, the kernel's, and anonymous ones without room in swap. */
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

export class OomHistory {
  private readonly memcgs: MemoryCgroups;
  private readonly reports: OomReport[] = [];
  private steps: { readonly over: MemoryCgroup; readonly step: LimitStep }[] = [];
  /** The shortage that somebody is being chosen for. */
  private open: OomReport | undefined = undefined;

  constructor(memcgs: MemoryCgroups) {
    this.memcgs = memcgs;
  }

  /** Kills in a cgroup and below it, the oldest first. */
  of(cgroup: MemoryCgroup): OomReport[] {
    const { path } = cgroup;
    const below = cgroup.isRoot ? "/" : `${path}/`;
    return this.reports.filter((report) => report.cgroup === path || report.cgroup.startsWith(below));
  }

  /** A limit has refused a charge, and something was done about it. */
  noteStep(over: MemoryCgroup, step: LimitStep): void {
    if (this.steps.length === MAX_STEPS) this.steps.shift();
    this.steps.push({ over, step });
  }

  /** Somebody of a cgroup is about to be chosen. */
  begin(over: MemoryCgroup, candidates: Iterable<Process>, totalPages: number): void {
    const { stats, vm } = this.memcgs;
    const chain = this.steps.filter((noted) => noted.over.isBelowOrSame(over));
    this.steps = this.steps.filter((noted) => !chain.includes(noted));
    this.open = {
      atNs: vm.kernel.clock.nowNs,
      cgroup: over.path,
      usage: over.memory.usage,
      max: over.memory.max,
      swapUsage: over.swap.usage,
      swapMax: over.swap.max,
      unevictable: stats.allNodes(over, "nr_unevictable"),
      kernel: stats.cgroup(over, "kmem"),
      anon: stats.allNodes(over, "nr_anon_pages"),
      file: stats.allNodes(over, "nr_file_pages"),
      chain: chain.map(({ step }) => step),
      candidates: [...candidates].flatMap((process) => this.describe(process, totalPages)),
      killed: [],
    };
  }

  /** Somebody is killed. */
  noteKill(process: Process, cgroup: MemoryCgroup): void {
    this.open?.killed.push({ pid: process.pid, comm: process.comm, cgroup: cgroup.path });
  }

  /** The choice is made. A report without a kill is none. */
  end(): void {
    const { open } = this;
    this.open = undefined;
    if (!open || open.killed.length === 0) return;
    if (this.reports.length === MAX_REPORTS) this.reports.shift();
    this.reports.push(open);
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
