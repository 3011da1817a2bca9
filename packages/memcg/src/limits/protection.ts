// How much of a cgroup is protected from a reclaim: what memory.min and memory.low say, cut down to what the cgroups above
// have been granted. Of a claim that is too large, each sibling gets a part by what it uses; of one that leaves something
// over, the others get that. Kernel counterparts: effective_protection() and mem_cgroup_calculate_protection() in
// mm/memcontrol.c, memcg_protection.m beside its selftest.
import type { MemoryCgroup } from "../memory-cgroup.ts";

/** One of the two protections of a cgroup, in pages. */
interface Claim {
  /** Pages that it uses, and that its parent does. */
  readonly usage: number;
  readonly parentUsage: number;
  /** What it claims. */
  readonly setting: number;
  /** What its parent has been granted. */
  readonly parentEffective: number;
  /** What it and its siblings claim and use. */
  readonly siblingsProtected: number;
}

/**
 * Who gets what a parent has been granted and its children don't claim: those that use more than they claim, or nobody.
 *
 * @see memory_recursiveprot in Documentation/admin-guide/cgroup-v2.rst; 8a931f801340
 */
export type UnclaimedProtection = "shared" | "lost";

/**
 * Finds out what of a cgroup is protected from a reclaim of `target`. Those between the two have been asked about just
 * now, from above.
 *
 * @param target undefined: a reclaim of the whole machine
 * @see mem_cgroup_calculate_protection()
 */
export function calculateProtection(
  target: MemoryCgroup | undefined,
  cgroup: MemoryCgroup,
  unclaimed: UnclaimedProtection,
): void {
  const { memory, parent } = cgroup;
  // Whoever is reclaimed for his own limit has no neighbours to be protected from.
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

/** Pages. @see effective_protection() */
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
