// What a write to memory.max, memory.high and memory.reclaim does beside the number: it is made true at once, as far as
// that goes. Kernel counterparts: memory_max_write(), memory_high_write() and memory_reclaim() in mm/memcontrol.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { MAX_RECLAIM_RETRIES, type Process, tryToFreeMemCgroupPages } from "@hetmem/mm";
import { GFP_KERNEL } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { type LimitTools, memCgroupOutOfMemory } from "./cgroup-oom.ts";

/**
 * Sets memory.max: what is above it is reclaimed, and when that isn't enough somebody is killed.
 *
 * @param writer who gives up when he is killed
 * @see memory_max_write()
 */
export function* setMax(
  tools: LimitTools,
  cgroup: MemoryCgroup,
  max: number,
  writer: Process | undefined,
): Sleeps<void> {
  const { memory } = cgroup;
  memory.max = max;
  let reclaims = MAX_RECLAIM_RETRIES;
  let drained = false;
  // Ends: passes that reclaim nothing are counted, and each kill leaves a process less.
  while (memory.max === max && memory.usage > max && !isKilled(writer)) {
    if (!drained) {
      tools.memcgs.stocks.drainAll(cgroup);
      drained = true;
    } else if (reclaims > 0) {
      if ((yield* reclaimDownTo(tools, cgroup, max)) === 0) reclaims--;
    } else {
      cgroup.noteEvent("oom");
      const shortage = { over: cgroup, current: writer, gfp: GFP_KERNEL, pages: 1 };
      if (!(yield* memCgroupOutOfMemory(tools, shortage))) return;
    }
  }
}

/** Sets memory.high: what is above it is reclaimed, as far as that goes. @see memory_high_write() */
export function* setHigh(
  tools: LimitTools,
  cgroup: MemoryCgroup,
  high: number,
  writer: Process | undefined,
): Sleeps<void> {
  const { memory } = cgroup;
  memory.high = high;
  let retries = MAX_RECLAIM_RETRIES;
  let drained = false;
  // Ends: passes that reclaim nothing are counted, and each other leaves less to reclaim.
  while (memory.high === high && memory.usage > high && !isKilled(writer)) {
    if (!drained) {
      tools.memcgs.stocks.drainAll(cgroup);
      drained = true;
    } else if ((yield* reclaimDownTo(tools, cgroup, high)) === 0 && retries-- === 0) {
      return;
    }
  }
}

/**
 * Reclaims pages of a cgroup because somebody asks for it.
 *
 * @throws KernelError EAGAIN when fewer could be reclaimed, EINTR when who asks was killed
 * @see memory_reclaim()
 */
export function* reclaimMemory(
  tools: LimitTools,
  cgroup: MemoryCgroup,
  pages: number,
  writer: Process | undefined,
): Sleeps<void> {
  let retries = MAX_RECLAIM_RETRIES;
  for (let reclaimed = 0; reclaimed < pages;) {
    if (isKilled(writer))
      throw new KernelError("EINTR", `process ${writer?.pid} was killed while it reclaimed ${cgroup.path}`);
    const more = yield* tryToFreeMemCgroupPages(
      tools.memcgs.vm,
      tools.groups.of(cgroup),
      pages - reclaimed,
      GFP_KERNEL,
      true,
    );
    if (more === 0 && retries-- === 0)
      throw new KernelError(
        "EAGAIN",
        `${reclaimed} of ${pages} pages of ${cgroup.path} were reclaimed: no more of it can go now`,
      );
    reclaimed += more;
  }
}

/** @see signal_pending() */
function isKilled(writer: Process | undefined): boolean {
  return writer?.killed === true;
}

function* reclaimDownTo(tools: LimitTools, cgroup: MemoryCgroup, pages: number): Sleeps<number> {
  const wanted = cgroup.memory.usage - pages;
  return yield* tryToFreeMemCgroupPages(tools.memcgs.vm, tools.groups.of(cgroup), wanted, GFP_KERNEL, true);
}
