// Writes to legacy files: setting a limit fails if reclaim can't bring the usage below it, and force_empty reclaims a
// cgroup. Kernel counterparts: mem_cgroup_resize_max() and mem_cgroup_force_empty() in mm/memcontrol.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { Process } from "@hetmem/mm";
import { MAX_RECLAIM_RETRIES } from "@hetmem/mm/ports";
import { GFP_KERNEL } from "@hetmem/zone";
import type { Limits } from "../limits/limits.ts";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

/** The memory cgroups, the limits, and the process that writes the file. */
export interface LegacyWriter {
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  readonly writer: () => Process | undefined;
}

/**
 * Reclaims until the usage is within the new limit, then sets it.
 *
 * @param pages the limit
 * @throws KernelError EINVAL for the root, EBUSY when the usage stays above the limit, EINTR when the writing process
 * was killed. The limit is unchanged then
 * @see mem_cgroup_resize_max()
 */
export function* resizeMax(by: LegacyWriter, cgroup: MemoryCgroup, pages: number): Sleeps<void> {
  if (cgroup.isRoot) throw new KernelError("EINVAL", "the root of the memory cgroups has no limit");
  const { memory } = cgroup;
  let drained = false;
  // Ends: a pass without reclaimed pages ends with EBUSY, and every other pass leaves fewer to reclaim.
  for (;;) {
    refuseKilled(by, cgroup);
    if (memory.setMax(pages)) return;
    if (!drained) {
      by.memcgs.stocks.drainAll(cgroup);
      drained = true;
    } else if ((yield* reclaimSome(by, cgroup)) === 0) {
      throw new KernelError(
        "EBUSY",
        `${cgroup.path} uses ${memory.usage} pages, more than ${pages}, and no more can be reclaimed`,
      );
    }
  }
}

/**
 * Reclaims as many pages as possible.
 *
 * @throws KernelError EINVAL for the root, EINTR when the writing process was killed
 * @see mem_cgroup_force_empty()
 */
export function* forceEmpty(by: LegacyWriter, cgroup: MemoryCgroup): Sleeps<void> {
  if (cgroup.isRoot) throw new KernelError("EINVAL", "the root of the memory cgroups can't be emptied");
  by.memcgs.stocks.drainAll(cgroup);
  for (let retries = MAX_RECLAIM_RETRIES; retries > 0 && cgroup.memory.usage > 0;) {
    refuseKilled(by, cgroup);
    if ((yield* reclaimSome(by, cgroup)) === 0) retries--;
  }
}

function* reclaimSome({ memcgs, limits }: LegacyWriter, cgroup: MemoryCgroup): Sleeps<number> {
  return yield* memcgs.vm.reclaim.tryToFreeMemCgroupPages(limits.groups.of(cgroup), 1, GFP_KERNEL, true);
}

function refuseKilled({ writer }: LegacyWriter, { path }: MemoryCgroup): void {
  if (writer()?.killed === true)
    throw new KernelError("EINTR", `whoever wrote to a file of ${path} was killed`);
}
