// memory.high: charges above it succeed, but the charging process reclaims before it continues, and sleeps if that
// isn't enough. The reclaim runs on the return to user mode, or at once after charging more than a batch. Kernel
// counterparts: reclaim_high() and mem_cgroup_handle_over_high() in mm/memcontrol.c.
import type { Preempt, Sleeps } from "@hetmem/kernel";
import type { MmStruct, Process } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES, SWAP_CLUSTER_MAX } from "@hetmem/mm/ports";
import { GFP_KERNEL } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { CHARGE_BATCH } from "../stock.ts";
import type { LimitTools } from "./cgroup-oom.ts";
import { highDelay, HZ, MAX_HIGH_DELAY_JIFFIES, maxOverage, MIN_HIGH_DELAY_JIFFIES } from "./high-delay.ts";

const JIFFY_NS: number = 1e9 / HZ;

export class OverHigh {
  private readonly tools: LimitTools;
  /** Pages charged above memory.high and not yet handled, by address space. @see memcg_nr_pages_over_high */
  private readonly debts = new Map<MmStruct, number>();

  constructor(tools: LimitTools) {
    this.tools = tools;
  }

  /** Adds pages that an address space charged above memory.high. */
  note(mm: MmStruct, pages: number): void {
    const owed = this.debts.get(mm);
    if (owed === undefined) this.forgetDead();
    this.debts.set(mm, (owed ?? 0) + pages);
  }

  /** Whether an address space has more than CHARGE_BATCH unhandled pages. */
  owesMuch(mm: MmStruct): boolean {
    return (
      this.debts.size > 0 &&
      (this.debts.get(mm) ?? 0) > CHARGE_BATCH &&
      !this.tools.memcgs.vm.reclaim.isReclaiming
    );
  }

  /** Reclaims, and sleeps if usage stays above memory.high. @see mem_cgroup_handle_over_high() */
  *handle(mm: MmStruct, gfp: number): Sleeps<void> {
    const pages = this.debts.get(mm);
    if (pages === undefined) return;
    this.debts.delete(mm);
    const cgroup = this.tools.memcgs.ofMm(mm);
    const [process] = this.tools.memcgs.vm.processes.of(mm);
    const penalty = yield* this.penaltyAfterReclaim(cgroup, pages, gfp);
    if (penalty > 0) yield* this.tools.stalls.during(cgroup, this.sleepKillable(process, penalty * JIFFY_NS));
  }

  /** handle() for a process on its return to user mode; undefined without unhandled pages. */
  ofProcess({ mm }: Process): Sleeps<void> | undefined {
    return mm && this.debts.size > 0 && this.debts.has(mm) ? this.handle(mm, GFP_KERNEL) : undefined;
  }

  private forgetDead(): void {
    for (const mm of this.debts.keys()) if (mm.dead) this.debts.delete(mm);
  }

  /** Reclaims while that makes progress. @returns jiffies to sleep for the remaining overage */
  private *penaltyAfterReclaim(cgroup: MemoryCgroup, pages: number, gfp: number): Sleeps<number> {
    let wanted = pages;
    // Ends: each turn reclaims pages, or is one of MAX_RECLAIM_RETRIES without.
    for (let retries = MAX_RECLAIM_RETRIES; ;) {
      const reclaimed = yield* this.reclaimHigh(cgroup, wanted, gfp);
      const penalty = Math.min(
        highDelay(maxOverage(cgroup, "memory"), pages) + highDelay(maxOverage(cgroup, "swap"), pages),
        MAX_HIGH_DELAY_JIFFIES,
      );
      if (penalty <= MIN_HIGH_DELAY_JIFFIES) return 0;
      if (reclaimed === 0 && retries-- === 0) return penalty;
      wanted = SWAP_CLUSTER_MAX;
    }
  }

  /** Reclaims from the cgroup and each ancestor above memory.high. @see reclaim_high() */
  private *reclaimHigh(cgroup: MemoryCgroup, pages: number, gfp: number): Sleeps<number> {
    let reclaimed = 0;
    for (let at = cgroup; at.parent !== undefined; at = at.parent) {
      if (at.memory.usage <= at.memory.high) continue;
      at.noteEvent("high");
      const { memcgs, groups, stalls } = this.tools;
      const reclaim = memcgs.vm.reclaim.tryToFreeMemCgroupPages(groups.of(at), pages, gfp, true);
      reclaimed += yield* stalls.during(cgroup, reclaim);
    }
    return reclaimed;
  }

  /** @see schedule_timeout_killable() */
  private *sleepKillable(process: Process | undefined, ns: number): Sleeps<void> {
    const { clock } = this.tools.memcgs.vm.kernel;
    const deadlineNs = clock.nowNs + ns;
    const wait: Preempt = {
      why: "a cgroup above memory.high",
      ready: () => clock.nowNs >= deadlineNs || process?.killed === true,
      timer: { deadlineNs, expire: () => clock.advance(Math.max(0, deadlineNs - clock.nowNs)) },
    };
    while (!wait.ready()) yield wait;
  }
}
