// Effective protection of a cgroup from reclaim: memory.min and memory.low, limited by the effective protection of
// the parent. When the siblings together claim more than the parent has, each gets a share in proportion to its
// protected usage. Unclaimed protection is shared among siblings, or lost, by mount option. Kernel counterparts:
// effective_protection() and mem_cgroup_calculate_protection() in mm/memcontrol.c, memcg_protection.m beside its
// selftest.
import type { MemoryCgroup } from "../memory-cgroup.ts";

/** Inputs of effectiveProtection(), in pages: for min or for low. */
interface Claim {
  /** Usage of the cgroup, and of its parent. */
  readonly usage: number;
  readonly parentUsage: number;
  /** Configured protection of the cgroup. */
  readonly setting: number;
  /** Effective protection of the parent. */
  readonly parentEffective: number;
  /** Protected usage of all children of the parent. */
  readonly siblingsProtected: number;
}

/**
 * The use of a parent's protection that its children don't claim. "shared": distributed among children that use more
 * than they claim. "lost": unused.
 *
 * @see memory_recursiveprot in Documentation/admin-guide/cgroup-v2.rst; 8a931f801340
 */
export type UnclaimedProtection = "shared" | "lost";

/**
 * Calculates the effective protection of a cgroup against reclaim of `target`. Must have been called for all cgroups
 * between the two before, top-down.
 *
 * @param target the reclaimed cgroup; undefined for global reclaim
 * @see mem_cgroup_calculate_protection()
 */
export function calculateProtection(
  target: MemoryCgroup | undefined,
  cgroup: MemoryCgroup,
  unclaimed: UnclaimedProtection,
): void {
  const { memory, parent } = cgroup;
  // A cgroup isn't protected from reclaim for its own limit.
  if (cgroup === target || parent === undefined || memory.usage === 0) return;
  if (parent === target || (target === undefined && parent.isRoot)) {
    memory.setEffective(memory.min, memory.low);
    return;
  }
  const { usage } = memory;
  const above = parent.memory;
  memory.setEffective(
    effectiveProtection(
      {
        usage,
        parentUsage: above.usage,
        setting: memory.min,
        parentEffective: above.emin,
        siblingsProtected: above.childrenMinUsage,
      },
      unclaimed,
    ),
    effectiveProtection(
      {
        usage,
        parentUsage: above.usage,
        setting: memory.low,
        parentEffective: above.elow,
        siblingsProtected: above.childrenLowUsage,
      },
      unclaimed,
    ),
  );
}

/** The effective protection in pages. @see effective_protection() */
export function effectiveProtection(
  { usage, parentUsage, setting, parentEffective, siblingsProtected }: Claim,
  unclaimed: UnclaimedProtection,
): number {
  const claimed = Math.min(usage, setting);
  if (siblingsProtected > parentEffective) return Math.floor((claimed * parentEffective) / siblingsProtected);
  const free = parentEffective - siblingsProtected;
  if (unclaimed === "lost" || free <= 0 || parentUsage <= siblingsProtected || usage <= claimed)
    return claimed;
  return claimed + Math.floor((free * (usage - claimed)) / (parentUsage - siblingsProtected));
}
