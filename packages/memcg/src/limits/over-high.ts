// Above memory.high nothing is refused: whoever took the memory gives some back before he goes on, and sleeps when that
// isn't enough. That happens on the way back to user mode, or at once for who takes much in one go. Kernel counterparts:
// reclaim_high() and mem_cgroup_handle_over_high() in mm/memcontrol.c.
import type { Preempt, Sleeps } from "@hetmem/kernel";
import {
  MAX_RECLAIM_RETRIES,
  type MmStruct,
  type Process,
  SWAP_CLUSTER_MAX,
  tryToFreeMemCgroupPages,
} from "@hetmem/mm";
import { GFP_KERNEL } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { CHARGE_BATCH } from "../stock.ts";
import type { LimitTools } from "./cgroup-oom.ts";
import { highDelay, HZ, MAX_HIGH_DELAY_JIFFIES, maxOverage, MIN_HIGH_DELAY_JIFFIES } from "./high-delay.ts";

const JIFFY_NS: number = 1e9 / HZ;

export class OverHigh {
  private readonly tools: LimitTools;
  /** Pages that each has taken above the mark and not answered for. @see memcg_nr_pages_over_high */
  private readonly debts = new Map<MmStruct, number>();

  constructor(tools: LimitTools) {
    this.tools = tools;
  }

  /** An address space has taken pages above the mark. */
  note(mm: MmStruct, pages: number): void {
    const owed = this.debts.get(mm);
    if (owed === undefined) this.forgetDead();
    this.debts.set(mm, (owed ?? 0) + pages);
  }

  /** Whether it has taken so many since it was last in user mode that it answers for them at once. */
  owesMuch(mm: MmStruct): boolean {
    return (
      this.debts.size > 0 &&
      (this.debts.get(mm) ?? 0) > CHARGE_BATCH &&
      !this.tools.memcgs.vm.reclaim.isReclaiming
    );
  }

  /** Gives back, and sleeps. @see mem_cgroup_handle_over_high() */
  *handle(mm: MmStruct, gfp: number): Sleeps<void> {
    const pages = this.debts.get(mm);
    if (pages === undefined) return;
    this.debts.delete(mm);
    const cgroup = this.tools.memcgs.ofMm(mm);
    const [process] = this.tools.memcgs.vm.processes.of(mm);
    const penalty = yield* this.penaltyAfterReclaim(cgroup, pages, gfp);
    if (penalty > 0) yield* this.tools.stalls.during(cgroup, this.sleepKillable(process, penalty * JIFFY_NS));
  }

  /** The same for a process on its way back to user mode; undefined when it owes nothing. */
  ofProcess({ mm }: Process): Sleeps<void> | undefined {
    return mm && this.debts.size > 0 && this.debts.has(mm) ? this.handle(mm, GFP_KERNEL) : undefined;
  }

  private forgetDead(): void {
    for (const mm of this.debts.keys()) if (mm.dead) this.debts.delete(mm);
  }

  /** Reclaims for as long as that helps. @returns ticks to sleep for what is above the mark still */
  private *penaltyAfterReclaim(cgroup: MemoryCgroup, pages: number, gfp: number): Sleeps<number> {
    let wanted = pages;
    // Ends: each turn reclaims pages, or is one of MAX_RECLAIM_RETRIES that reclaim none.
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

  /** Reclaims a cgroup and those above it where they are above the mark. @see reclaim_high() */
  private *reclaimHigh(cgroup: MemoryCgroup, pages: number, gfp: number): Sleeps<number> {
    let reclaimed = 0;
    for (let at = cgroup; at.parent !== undefined; at = at.parent) {
      if (at.memory.usage <= at.memory.high) continue;
      at.noteEvent("high");
      const reclaim = tryToFreeMemCgroupPages(
        this.tools.memcgs.vm,
        this.tools.groups.of(at),
        pages,
        gfp,
        true,
      );
      reclaimed += yield* this.tools.stalls.during(cgroup, reclaim);
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
