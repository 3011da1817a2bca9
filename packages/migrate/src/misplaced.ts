// The decision of NUMA balancing about a page that a process has just accessed: whether it should migrate, and to
// which node. A memory policy that doesn't follow accesses or excludes the node keeps the page in place, and so does
// an access from another node to a shared page. Kernel counterparts: mpol_misplaced() in mm/mempolicy.c,
// should_numa_migrate_memory() in kernel/sched/fair.c.
import type { NodeId, Page } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { type MemPolicy, MpolFlag, policyOf } from "@hetmem/mm/policy";
import type { NumaTouches } from "./numa-touches.ts";

/**
 * The node that a page should migrate to after an access of this process; undefined when it should stay.
 *
 * @param touches accesses to shared pages, to which this one is added
 * @see mpol_misplaced(), should_numa_migrate_memory()
 */
export function mpolMisplaced(vma: Vma, page: Page, touches: NumaTouches): NodeId | undefined {
  const { mm } = vma;
  const { memmap } = mm.vm;
  const policy = policyOf(mm, vma);
  if (!migratesOnFault(policy) || (policy !== undefined && !policy.nodes.includes(mm.node))) return undefined;
  if (memmap.mapcount(page) > 1) {
    const last = touches.exchange(memmap.mapping(page), memmap.index(page), mm.node);
    if (last !== undefined && last !== mm.node) return undefined;
  }
  return memmap.nodeOf(page) === mm.node ? undefined : mm.node;
}

/** Whether pages under a policy migrate to the node that accesses them. @see MPOL_F_MOF */
export function migratesOnFault(policy: MemPolicy | undefined): boolean {
  return policy === undefined || (policy.flags & MpolFlag.NUMA_BALANCING) !== 0;
}
