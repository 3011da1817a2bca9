// Merging of neighbouring mappings that are alike. mmap(), mprotect(), mremap() and madvise() try to merge before
// they create or divide a mapping. Kernel counterparts: vma_merge(), can_vma_merge_before() and can_vma_merge_after()
// in mm/mmap.c, whose case numbers are given here.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { type MemPolicy, mpolEqual } from "../policy/mempolicy.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import { adjustVmas } from "./adjust.ts";
import type { Vma } from "./vma.ts";
import { VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** A range and the properties it is to have. */
export interface Span {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly flags: number;
  readonly anonVma: AnonVma | undefined;
  readonly file: FileObject | undefined;
  /** Page offset in the file of `start`. */
  readonly pgoff: number;
  readonly policy: MemPolicy | undefined;
}

/**
 * Grows neighbours over a range where their properties are equal. The range is empty, the last part of `prev`, or the
 * first part or all of the mapping after `prev`. The flags of the merged mapping may lack SOFTDIRTY.
 *
 * @returns the mapping that holds the range now; undefined when no neighbour fits, and then nothing was changed
 * @see vma_merge()
 */
export function* vmaMerge(mm: MmStruct, prev: Vma | undefined, span: Span): Sleeps<Vma | undefined> {
  if ((span.flags & VM_SPECIAL) !== 0) return undefined;
  const { start, end } = span;
  const mid = mm.vmas.findFrom((prev?.end ?? 0) as VirtAddr);
  const next = mid?.end === end ? mm.vmas.after(mid) : mid;
  const below = prev && canMergeAfter(prev, span) ? prev : undefined;
  const above = next && canMergeBefore(next, span) ? next : undefined;
  if (below && above && anonCompatible(below.anonVma, above.anonVma, undefined)) {
    // Cases 1 and 6: the two neighbours and the range become one mapping.
    yield* adjustVmas(
      [{ vma: below, start: below.start, end: above.end }],
      mid && mid !== above ? [mid, above] : [above],
    );
    return below;
  }
  if (below) {
    yield* growUp(below, end, mid);
    return below;
  }
  if (above) yield* growDown(above, start, prev, mid);
  return above;
}

/** Whether a range right after a mapping can become part of it. @see can_vma_merge_after() */
export function canMergeAfter(vma: Vma, span: Span): boolean {
  return vma.end === span.start && vma.pgoff + vma.pages === span.pgoff && alike(vma, span);
}

/** Whether a range right below a mapping can become part of it. @see can_vma_merge_before() */
export function canMergeBefore(vma: Vma, span: Span): boolean {
  const pages = (span.end - span.start) / 4096;
  return vma.start === span.end && vma.pgoff === span.pgoff + pages && alike(vma, span);
}

/**
 * Cases 2, 5 and 7: the lower neighbour grows into a gap, over the first part of the next mapping, or over all of it.
 */
function* growUp(vma: Vma, end: VirtAddr, mid: Vma | undefined): Sleeps<void> {
  const grown = { vma, start: vma.start, end };
  if (!mid || mid.start >= end) yield* adjustVmas([grown]);
  else if (mid.end === end) yield* adjustVmas([grown], [mid]);
  else yield* adjustVmas([grown, { vma: mid, start: end, end: mid.end }]);
}

/**
 * Cases 3, 4 and 8: the upper neighbour grows into a gap, over the last part of the mapping below, or over all of it.
 */
function* growDown(vma: Vma, start: VirtAddr, prev: Vma | undefined, mid: Vma | undefined): Sleeps<void> {
  const grown = { vma, start, end: vma.end };
  if (prev && start < prev.end) yield* adjustVmas([grown, { vma: prev, start: prev.start, end: start }]);
  else if (mid && mid !== vma) yield* adjustVmas([grown], [mid]);
  else yield* adjustVmas([grown]);
}

/** @see is_mergeable_vma() */
function alike(vma: Vma, { flags, file, anonVma, policy }: Span): boolean {
  return (
    ((vma.flags ^ flags) & ~VmFlag.SOFTDIRTY) === 0 &&
    vma.file === file &&
    // A driver with close() counts its mappings, and a merge would remove one without a call of close().
    vma.ops?.close === undefined &&
    mpolEqual(vma.policy, policy) &&
    anonCompatible(anonVma, vma.anonVma, vma)
  );
}

/**
 * Whether the anonymous pages of both can belong to one mapping. A mapping with anon_vmas of ancestors is not merged
 * with a mapping that has no anon_vma, so that a walk for a child's pages visits fewer mappings.
 *
 * @see is_mergeable_anon_vma()
 * @see 965f55dea0e3
 */
function anonCompatible(a: AnonVma | undefined, b: AnonVma | undefined, vma: Vma | undefined): boolean {
  if ((!a || !b) && (!vma || vma.anonVmaChain.length === 1)) return true;
  return a === b;
}
