// A mapping that is written for the first time takes over its neighbour's anonymous family, where the two might become
// one mapping again: mprotect() on parts of a mapping would divide it for good otherwise. Kernel counterpart:
// find_mergeable_anon_vma() in mm/mmap.c.
import { mpolEqual } from "../policy/mempolicy.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import type { Vma } from "./vma.ts";
import { VM_ACCESS_FLAGS, VmFlag } from "./vm-flags.ts";

/**
 * The family of a neighbour that a mapping may share. Atomic: one that somebody walks through now is left alone.
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

/** They differ in what mprotect() changes alone. @see anon_vma_compatible() */
function compatible(a: Vma, b: Vma): boolean {
  return (
    a.end === b.start &&
    mpolEqual(a.policy, b.policy) &&
    a.file === b.file &&
    ((a.flags ^ b.flags) & ~(VM_ACCESS_FLAGS | VmFlag.SOFTDIRTY)) === 0 &&
    b.pgoff === a.pgoff + a.pages
  );
}

/** One with families of parents is searched for a child's pages: it should have no more mappings. @see reusable_anon_vma() */
function reusable({ anonVma, anonVmaChain }: Vma): boolean {
  if (!anonVma || anonVmaChain.length !== 1) return false;
  return anonVma.rwsem.readers === 0 && !anonVma.rwsem.writeLocked;
}
