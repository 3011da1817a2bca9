// What the older files do beside showing numbers: a limit is refused where memory can't be brought below it, and a cgroup
// can be emptied. Kernel counterparts: mem_cgroup_resize_max() and mem_cgroup_force_empty() in mm/memcontrol.c.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import { MAX_RECLAIM_RETRIES, type Process, tryToFreeMemCgroupPages } from "@hetmem/mm";
import { GFP_KERNEL } from "@hetmem/zone";
import type { Limits } from "../limits/limits.ts";
import type { MemoryCgroup } from "../memory-cgroup.ts";
import type { MemoryCgroups } from "../memory-cgroups.ts";

/** Who is asked to reclaim, and for whom. */
export interface LegacyWriter {
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  readonly writer: () => Process | undefined;
}

/**
 * Sets the limit once no more than that is in use, and reclaims until then.
 *
 * @throws KernelError EINVAL for the root, EBUSY when too much stays in use, EINTR when who asks was killed: the limit is as before
 * @see mem_cgroup_resize_max()
 */
export function* resizeMax(by: LegacyWriter, cgroup: MemoryCgroup, pages: number): Sleeps<void> {
  if (cgroup.isRoot) throw new KernelError("EINVAL", "the root of the memory cgroups has no limit");
  const { memory } = cgroup;
  let drained = false;
  // Ends: a pass that reclaims nothing is EBUSY, and each other leaves less to reclaim.
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
 * Reclaims all that goes.
 *
 * @throws KernelError EINVAL for the root, EINTR when who asks was killed
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
  return yield* tryToFreeMemCgroupPages(memcgs.vm, limits.groups.of(cgroup), 1, GFP_KERNEL, true);
}

function refuseKilled({ writer }: LegacyWriter, { path }: MemoryCgroup): void {
  if (writer()?.killed === true)
    throw new KernelError("EINTR", `whoever wrote to a file of ${path} was killed`);
}
