// Snapshots of a part of a mapping, and faults in it. Changes are tracked until hmmVmaRangeDone(), which reports
// under the driver's lock whether the snapshot is still valid. If it is, the driver fills the device's page table
// before dropping the lock. Kernel counterpart: hmm_vma_get_pfns(), hmm_vma_fault() and hmm_vma_range_done() in
// mm/hmm.c of 4.14.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { VM_SPECIAL, type Vma, VmFlag, walkPageRange } from "@hetmem/mm";
import { mmuIntervalCheckRetry, mmuIntervalReadBegin } from "@hetmem/mmu-notifier";
import { Need } from "../walk-stop.ts";
import { HmmVmaPfnWalk } from "./hmm-vma-pfn-walk.ts";
import { HmmVmaPfn } from "./hmm-vma-pfn.ts";
import { type Hmm, hmmOf } from "./hmm.ts";

/** A snapshot of a part of a mapping. @see struct hmm_range */
export class HmmVmaRange {
  readonly hmm: Hmm;
  readonly start: VirtAddr;
  /** First byte after the range. */
  readonly end: VirtAddr;
  /** Two words per page: see HmmVmaPfn. */
  readonly pfns: Int32Array;
  /** Whether the range is unchanged since the snapshot began. */
  valid = true;

  constructor(hmm: Hmm, start: VirtAddr, end: VirtAddr, pfns: Int32Array) {
    this.hmm = hmm;
    this.start = start;
    this.end = end;
    this.pfns = pfns;
  }

  /** [start, end) changes: the snapshot becomes invalid, and its results there are cleared. */
  invalidate(start: VirtAddr, end: VirtAddr): void {
    if (end <= this.start || start >= this.end) return;
    this.valid = false;
    const first = Math.max(start, this.start) - this.start;
    this.pfns.fill(0, first / 2048, (Math.min(end, this.end) - this.start) / 2048);
  }
}

/**
 * Reads the page table entries of a part of a mapping. The mmap lock is held for reading until hmmVmaRangeDone() has
 * been called for the returned range.
 *
 * @param end first byte after the part
 * @param pfns two words per page; overwritten
 * @returns the range, to be ended by hmmVmaRangeDone()
 * @throws KernelError EINVAL outside the mapping, for a mapping that can't be mirrored, for an address space without mirrors
 */
export function* hmmVmaGetPfns(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  pfns: Int32Array,
): Sleeps<HmmVmaRange> {
  const hmm = mirrored(vma, start, end);
  if (isSpecial(vma)) {
    fillSpecial(pfns, start, end);
    throw new KernelError("EINVAL", `0x${start.toString(16)} is in a mapping that can't be mirrored`);
  }
  const range = yield* begin(hmm, start, end, pfns);
  walkPageRange(vma.mm, start, end, new HmmVmaPfnWalk(range, "snapshot"));
  return range;
}

/**
 * hmmVmaGetPfns() with faults for missing pages and, with `write`, for read-only ones. In a mapping that can't be
 * mirrored every result is `special`, which is no error.
 *
 * @param end first byte after the part
 * @param pfns two words per page; overwritten
 * @param write whether the device will write to all pages
 * @returns the range, to be ended by hmmVmaRangeDone()
 * @throws KernelError EINVAL outside the mapping, and for an address space without mirrors
 * @throws KernelError EFAULT, EPERM where a fault fails; results from there on are zeros, and hmmVmaRangeDone() must
 * not be called
 */
export function* hmmVmaFault(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  pfns: Int32Array,
  write: boolean,
): Sleeps<HmmVmaRange> {
  const hmm = mirrored(vma, start, end);
  const range = yield* begin(hmm, start, end, pfns);
  if (isSpecial(vma)) {
    fillSpecial(pfns, start, end);
    return range;
  }
  const walk = new HmmVmaPfnWalk(range, write ? "fault to write" : "fault");
  try {
    // Ends: a fault provides the page or fails; only another task removes the page again.
    for (;;) {
      const need = walkPageRange(vma.mm, walk.stop.last, end, walk);
      if (need === Need.nothing) return range;
      yield* walk.stop.provide(vma.mm, need);
    }
  } catch (error) {
    pfns.fill(0, (walk.stop.last - start) / 2048, (end - start) / 2048);
    hmmVmaRangeDone(range);
    throw error;
  }
}

/**
 * Ends a snapshot. Called under the lock that the mirror's callbacks take. The driver uses the results before
 * dropping the lock.
 *
 * @returns whether the snapshot is still valid; if not, the caller starts over
 */
export function hmmVmaRangeDone(range: HmmVmaRange): boolean {
  return range.hmm.takeSnapshot(range) && range.valid;
}

function mirrored(vma: Vma, start: VirtAddr, end: VirtAddr): Hmm {
  if (start < vma.start || start >= end || end > vma.end || start % 4096 !== 0 || end % 4096 !== 0) {
    throw new KernelError(
      "EINVAL",
      `0x${start.toString(16)}-0x${end.toString(16)} are no whole pages of the mapping at 0x${vma.start.toString(16)}`,
    );
  }
  const hmm = hmmOf(vma.mm);
  if (hmm === undefined)
    throw new KernelError("EINVAL", `mm ${vma.mm.id} has no mirror: hmmMirrorRegister() comes first`);
  return hmm;
}

/** Waits for changes in progress, then registers the range so that later changes invalidate it. */
function* begin(hmm: Hmm, start: VirtAddr, end: VirtAddr, pfns: Int32Array): Sleeps<HmmVmaRange> {
  let sequence: number;
  // Ends: bounded by the changes of other tasks: after waiting for one, another may be in progress.
  do sequence = yield* mmuIntervalReadBegin(hmm.changes);
  while (mmuIntervalCheckRetry(hmm.changes, sequence));
  const range = new HmmVmaRange(hmm, start, end, pfns);
  hmm.beginSnapshot(range);
  return range;
}

function isSpecial({ flags }: Vma): boolean {
  return (flags & (VM_SPECIAL | VmFlag.HUGETLB)) !== 0;
}

/** @see hmm_pfns_special() */
function fillSpecial(pfns: Int32Array, start: VirtAddr, end: VirtAddr): void {
  for (let at = 0; at < (end - start) / 2048; at += 2) {
    pfns[at] = 0;
    pfns[at | 1] = HmmVmaPfn.special;
  }
}
