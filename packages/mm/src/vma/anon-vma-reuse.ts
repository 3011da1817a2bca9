// Sharing of a neighbour's anon_vma by a mapping that is written for the first time. The two can merge later only
// with one anon_vma. Without the sharing, mprotect() on a part of a mapping would divide the mapping for good. Kernel
// counterpart: find_mergeable_anon_vma() in mm/mmap.c.
import { mpolEqual } from "../policy/mempolicy.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import type { Vma } from "./vma.ts";
import { VM_ACCESS_FLAGS, VmFlag } from "./vm-flags.ts";

/**
 * The anon_vma of a neighbour that a mapping may share; undefined when there is none. Atomic: an anon_vma whose lock
 * is held is not shared.
 *
 * @see find_mergeable_anon_vma()
 */
export function findMergeableAnonVma(vma: Vma): AnonVma | undefined {
  const { vmas } = vma.mm;
  const index = vmas.indexFrom(vma.start);
  const next = vmas.get(index + 1);
  if (next && compatible(vma, next) && reusable(next)) return next.anonVma;
  const prev = vmas.get(index - 1);
  return prev && compatible(prev, vma) && reusable(prev) ? prev.anonVma : undefined;
}

/** Whether two neighbours differ only in flags that mprotect() changes. @see anon_vma_compatible() */
function compatible(a: Vma, b: Vma): boolean {
  return (
    a.end === b.start &&
    mpolEqual(a.policy, b.policy) &&
    a.file === b.file &&
    ((a.flags ^ b.flags) & ~(VM_ACCESS_FLAGS | VmFlag.SOFTDIRTY)) === 0 &&
    b.pgoff === a.pgoff + a.pages
  );
}

/**
 * An anon_vma inherited from a parent isn't shared: each further mapping would be visited in walks for the pages of a
 * child.
 *
 * @see reusable_anon_vma()
 */
function reusable({ anonVma, anonVmaChain }: Vma): boolean {
  if (!anonVma || anonVmaChain.length !== 1) return false;
  return anonVma.rwsem.readers === 0 && !anonVma.rwsem.writeLocked;
}
