// The policies of memory cgroup limits, plugged into charging and into mm: reclaim, throttling, OOM kills,
// protection. Kernel counterpart: mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import type { MmStruct, Process } from "@hetmem/mm";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";
import type { OverLimit, OverMax, RefusedCharge } from "../over-limit.ts";
import { CgroupGroups } from "./cgroup-groups.ts";
import type { LimitTools } from "./cgroup-oom.ts";
import { OverHigh } from "./over-high.ts";
import { makeRoom } from "./over-max.ts";
import type { UnclaimedProtection } from "./protection.ts";
import { reclaimMemory, setHigh, setMax } from "./set-limits.ts";
import { Stalls } from "./stalls.ts";

export interface LimitsOptions {
  /** The mount option memory_recursiveprot: "shared" with it, "lost" without. "lost" when absent. */
  readonly unclaimedProtection?: UnclaimedProtection;
}

export class Limits implements OverLimit, LimitTools {
  readonly memcgs: MemoryCgroups;
  readonly groups: CgroupGroups;
  /** Memory stall times of cgroups. */
  readonly stalls: Stalls;
  private readonly overHigh: OverHigh;

  constructor(memcgs: MemoryCgroups, { unclaimedProtection = "lost" }: LimitsOptions = {}) {
    this.memcgs = memcgs;
    this.stalls = new Stalls(memcgs);
    this.groups = new CgroupGroups(memcgs, this.stalls, unclaimedProtection);
    this.overHigh = new OverHigh(this);
    memcgs.overLimit = this;
    memcgs.charging.groups = this.groups;
    memcgs.charging.handleOverHigh = (process) => this.overHigh.ofProcess(process);
  }

  overMax(refused: RefusedCharge): Sleeps<OverMax> {
    return makeRoom(this, refused);
  }

  mayForce(_payer: MemoryCgroup, over: MemoryCgroup): boolean {
    if (!this.memcgs.vm.reclaim.isReclaiming) return false;
    over.noteEvent("max");
    return true;
  }

  aboveHigh(_payer: MemoryCgroup, pages: number, mm: MmStruct | undefined): void {
    if (mm) this.overHigh.note(mm, pages);
  }

  owesMuch(mm: MmStruct): boolean {
    return this.overHigh.owesMuch(mm);
  }

  handleOverHigh(mm: MmStruct, gfp: number): Sleeps<void> {
    return this.overHigh.handle(mm, gfp);
  }

  swapRefused(payer: MemoryCgroup, over: MemoryCgroup | undefined): void {
    if (over) payer.noteEvent("swap_max");
    payer.noteEvent("swap_fail");
  }

  /** Sets memory.max, in pages, and reclaims or kills down to it. @see memory_max_write() */
  setMax(cgroup: MemoryCgroup, max: number, writer: Process | undefined): Sleeps<void> {
    return this.pinned(cgroup, setMax(this, cgroup, max, writer));
  }

  /** Sets memory.high, in pages, and reclaims down to it. @see memory_high_write() */
  setHigh(cgroup: MemoryCgroup, high: number, writer: Process | undefined): Sleeps<void> {
    return this.pinned(cgroup, setHigh(this, cgroup, high, writer));
  }

  /**
   * Reclaims pages on a write to memory.reclaim.
   *
   * @throws KernelError EAGAIN when fewer pages could be reclaimed, EINTR when the writer was killed
   * @see memory_reclaim()
   */
  reclaim(cgroup: MemoryCgroup, pages: number, writer: Process | undefined): Sleeps<void> {
    return this.pinned(cgroup, reclaimMemory(this, cgroup, pages, writer));
  }

  /** Holds a reference on the cgroup for the time of a write; removal is still possible. @see kernfs_get_active() */
  private *pinned(cgroup: MemoryCgroup, work: Sleeps<void>): Sleeps<void> {
    const { charging } = this.memcgs;
    charging.pin(cgroup, 1);
    try {
      yield* work;
    } finally {
      charging.pin(cgroup, -1);
    }
  }
}
