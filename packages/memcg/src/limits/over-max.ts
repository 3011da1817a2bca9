// A charge that a limit has refused: the cgroup whose limit it is is reclaimed, then what cpus hold for it is taken back,
// and at last somebody in it is killed. Kernel counterpart: try_charge_memcg() in mm/memcontrol.c.
import type { Sleeps } from "@hetmem/kernel";
import { MAX_RECLAIM_RETRIES, type Process, tryToFreeMemCgroupPages } from "@hetmem/mm";
import { Gfp, PAGE_ALLOC_COSTLY_ORDER } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { OverMax, RefusedCharge } from "../over-limit.ts";
import { type LimitTools, margin, memCgroupOom } from "./cgroup-oom.ts";

/** Charges that can't be refused, whatever it costs. */
const MUST_NOT_FAIL: number = Gfp.NOFAIL | Gfp.HIGH;

/** Makes room for a charge, or says that there is none. @see try_charge_memcg() */
export function* makeRoom(tools: LimitTools, refused: RefusedCharge): Sleeps<OverMax> {
  const { vm } = tools.memcgs;
  const { over, pages, gfp, mm } = refused;
  const giveUp: OverMax = (gfp & MUST_NOT_FAIL) === 0 ? "fail" : "force";
  // Who frees memory mustn't wait for others to do so.
  if (vm.reclaim.isReclaiming) return forced(over);
  if ((gfp & Gfp.DIRECT_RECLAIM) === 0) return giveUp === "force" ? forced(over) : "fail";
  const [current] = mm ? vm.processes.of(mm) : [];
  let retries = MAX_RECLAIM_RETRIES;
  let killed = false;
  // Ends: a pass that frees pages leaves fewer to free, others are counted by retries, and each kill leaves a process less.
  for (;;) {
    const reclaimed = yield* reclaimOnce(tools, refused, current);
    if (margin(over) >= pages) return "retry";
    if ((gfp & Gfp.NORETRY) !== 0) return giveUp;
    // So near to the limit a large block is unlikely, and small ones will do.
    if (reclaimed > 0 && pages <= 1 << PAGE_ALLOC_COSTLY_ORDER) continue;
    if (retries-- > 0) continue;
    if ((gfp & Gfp.RETRY_MAYFAIL) !== 0 || (killed && isDying(current))) return giveUp;
    if (!(yield* memCgroupOom(tools, { over, current, gfp, pages }))) return giveUp;
    killed = true;
    retries = MAX_RECLAIM_RETRIES;
    if (margin(over) >= pages) return "retry";
  }
}

/** Reclaims, and takes back what cpus have in stock where that isn't enough. @returns pages that reclaim has freed */
function* reclaimOnce(
  { memcgs, groups, stalls }: LimitTools,
  { payer, over, pages, gfp }: RefusedCharge,
  current: Process | undefined,
): Sleeps<number> {
  const { vm, stats } = memcgs;
  const { usage, max } = over.memory;
  const scannedBefore = stats.cgroup(over, "pgscan_direct");
  over.noteEvent("max");
  const reclaim = tryToFreeMemCgroupPages(vm, groups.of(over), pages, gfp, true);
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

/** What a limit was exceeded for shows at least. */
function forced(over: MemoryCgroup): "force" {
  over.noteEvent("max");
  return "force";
}

function isDying(process: Process | undefined): boolean {
  return process?.killed ?? false;
}
