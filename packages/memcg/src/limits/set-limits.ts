// Writes to memory.max, memory.high and memory.reclaim, which reclaim down to the new value. Kernel counterparts:
// memory_max_write(), memory_high_write() and memory_reclaim() in mm/memcontrol.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES } from "@hetmem/mm/ports";
import { GFP_KERNEL } from "@hetmem/zone";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import { type LimitTools, memCgroupOutOfMemory } from "./cgroup-oom.ts";

/**
 * Sets memory.max. Reclaims usage above it, and kills processes when reclaim fails.
 *
 * @param max pages
 * @param writer the writing process; the write ends early when it is killed
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
  // Ends: passes without reclaimed pages are counted, and each kill leaves one process fewer.
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

/** Sets memory.high, in pages. Reclaims usage above it as far as possible. @see memory_high_write() */
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
  // Ends: passes without reclaimed pages are counted, and every other pass leaves fewer to reclaim.
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
 * Reclaims a number of pages from a cgroup.
 *
 * @param pages number of pages
 * @param writer the writing process
 * @throws KernelError EAGAIN when fewer pages could be reclaimed, EINTR when the writing process was killed
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
    const more = yield* tools.memcgs.vm.reclaim.tryToFreeMemCgroupPages(
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
  const { memcgs, groups } = tools;
  return yield* memcgs.vm.reclaim.tryToFreeMemCgroupPages(groups.of(cgroup), wanted, GFP_KERNEL, true);
}
