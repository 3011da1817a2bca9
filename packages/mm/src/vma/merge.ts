// Neighbours that are alike become one mapping: what mmap(), mprotect(), mremap() and madvise() try before they make or
// divide one. Kernel counterpart: vma_merge() and can_vma_merge_before() and _after() in mm/mmap.c, whose case numbers
// are given.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { type MemPolicy, mpolEqual } from "../policy/mempolicy.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { FileObject } from "../file/file-object.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import { adjustVmas } from "./adjust.ts";
import type { Vma } from "./vma.ts";
import { VM_SPECIAL, VmFlag } from "./vm-flags.ts";

/** What a range is going to be. */
export interface Span {
  readonly start: VirtAddr;
  readonly end: VirtAddr;
  readonly flags: number;
  readonly anonVma: AnonVma | undefined;
  readonly file: FileObject | undefined;
  /** Page of the file at `start`. */
  readonly pgoff: number;
  readonly policy: MemPolicy | undefined;
}

/**
 * Lets neighbours grow over a range, where they are like it. The range is empty, the last part of `prev`, or the first
 * part or all of the mapping behind it. The merged mapping's flags may lack SOFTDIRTY.
 *
 * @returns the mapping that has the range now; undefined when none can have it, and nothing was changed
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
    // 1 and 6: all three are one.
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

/**
 * Whether a mapping can be continued by a range right behind it.
 *
 * @see can_vma_merge_after()
 */
export function canMergeAfter(vma: Vma, span: Span): boolean {
  return vma.end === span.start && vma.pgoff + vma.pages === span.pgoff && alike(vma, span);
}

/** Whether a mapping can begin with a range right below it. @see can_vma_merge_before() */
export function canMergeBefore(vma: Vma, span: Span): boolean {
  const pages = (span.end - span.start) / 4096;
  return vma.start === span.end && vma.pgoff === span.pgoff + pages && alike(vma, span);
}

/** Cases 2, 5 and 7: into a gap, over the first part of the next, or over all of it. */
function* growUp(vma: Vma, end: VirtAddr, mid: Vma | undefined): Sleeps<void> {
  const grown = { vma, start: vma.start, end };
  if (!mid || mid.start >= end) yield* adjustVmas([grown]);
  else if (mid.end === end) yield* adjustVmas([grown], [mid]);
  else yield* adjustVmas([grown, { vma: mid, start: end, end: mid.end }]);
}

/** Cases 3, 4 and 8: into a gap, over the last part of the one below, or over all of it. */
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
    // Its driver counts mappings: one that went without a word would be missed.
    vma.ops?.close === undefined &&
    mpolEqual(vma.policy, policy) &&
    anonCompatible(anonVma, vma.anonVma, vma)
  );
}

/**
 * Whether pages of both can be of one mapping. One that has parents' families too isn't merged with a mapping that has
 * none, so that fewer mappings are searched for a child's pages.
 *
 * @see is_mergeable_anon_vma() @see 965f55dea0e3
 */
function anonCompatible(a: AnonVma | undefined, b: AnonVma | undefined, vma: Vma | undefined): boolean {
  if ((!a || !b) && (!vma || vma.anonVmaChain.length === 1)) return true;
  return a === b;
}
