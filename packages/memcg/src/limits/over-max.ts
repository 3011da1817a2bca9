// memory.max: for a refused charge, reclaims from the cgroup at its limit, then drains the cpus' stocks for it, and
// finally kills a process in it. Kernel counterpart: try_charge_memcg() in mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES } from "@hetmem/mm/ports";
import { Gfp, PAGE_ALLOC_COSTLY_ORDER } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { OverMax, RefusedCharge } from "../over-limit.ts";
import { type LimitTools, margin, memCgroupOom } from "./cgroup-oom.ts";

/** Gfp bits of charges that are forced when reclaim fails. */
const MUST_NOT_FAIL: number = Gfp.NOFAIL | Gfp.HIGH;

/** Makes room for a refused charge. @returns whether to retry, force or fail the charge @see try_charge_memcg() */
export function* makeRoom(tools: LimitTools, refused: RefusedCharge): Sleeps<OverMax> {
  const { vm } = tools.memcgs;
  const { over, pages, gfp, mm } = refused;
  const giveUp: OverMax = (gfp & MUST_NOT_FAIL) === 0 ? "fail" : "force";
  // A reclaiming task must not wait for reclaim.
  if (vm.reclaim.isReclaiming) return forced(over);
  if ((gfp & Gfp.DIRECT_RECLAIM) === 0) return giveUp === "force" ? forced(over) : "fail";
  const [current] = mm ? vm.processes.of(mm) : [];
  let retries = MAX_RECLAIM_RETRIES;
  let killed = false;
  // Ends: a pass that frees pages leaves fewer to free, other passes are counted by retries, and each kill leaves
  // one process fewer.
  for (;;) {
    const reclaimed = yield* reclaimOnce(tools, refused, current);
    if (margin(over) >= pages) return "retry";
    if ((gfp & Gfp.NORETRY) !== 0) return giveUp;
    // Progress is enough only for small orders: near the limit a costly order is unlikely to fit.
    if (reclaimed > 0 && pages <= 1 << PAGE_ALLOC_COSTLY_ORDER) continue;
    if (retries-- > 0) continue;
    if ((gfp & Gfp.RETRY_MAYFAIL) !== 0 || (killed && isDying(current))) return giveUp;
    if (!(yield* memCgroupOom(tools, { over, current, gfp, pages }))) return giveUp;
    killed = true;
    retries = MAX_RECLAIM_RETRIES;
    if (margin(over) >= pages) return "retry";
  }
}

/** Reclaims, and drains the cpus' stocks if that isn't enough. @returns reclaimed pages */
function* reclaimOnce(
  { memcgs, groups, stalls }: LimitTools,
  { payer, over, pages, gfp }: RefusedCharge,
  current: Process | undefined,
): Sleeps<number> {
  const { vm, stats } = memcgs;
  const { usage, max } = over.memory;
  const scannedBefore = stats.cgroup(over, "pgscan_direct");
  over.noteEvent("max");
  const reclaim = vm.reclaim.tryToFreeMemCgroupPages(groups.of(over), pages, gfp, true);
  const reclaimed = yield* stalls.during(payer, reclaim);
  const before = over.memory.usage;
  if (margin(over) < pages) memcgs.stocks.drainAll(over);
  groups.listener?.attempted(over, {
    atNs: vm.kernel.clock.nowNs,
    payer: payer.path,
    over: over.path,
    pid: current?.pid,
    comm: current?.comm,
    pages,
    usage,
    max,
    scanned: stats.cgroup(over, "pgscan_direct") - scannedBefore,
    reclaimed,
    drained: before - over.memory.usage,
  });
  return reclaimed;
}

/** Counts a "max" event for a forced charge. */
function forced(over: MemoryCgroup): "force" {
  over.noteEvent("max");
  return "force";
}

function isDying(process: Process | undefined): boolean {
  return process?.killed ?? false;
}
