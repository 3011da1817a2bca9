// Snapshots of a part of a mapping, and faults in it. What they find is watched until hmmVmaRangeDone(), which says under
// the driver's lock whether it is still true: if so, the device may be given it before the lock is dropped. Kernel
// counterpart: hmm_vma_get_pfns(), hmm_vma_fault() and hmm_vma_range_done() in mm/hmm.c of 4.14.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  mmuIntervalCheckRetry,
  mmuIntervalReadBegin,
  VM_SPECIAL,
  type Vma,
  VmFlag,
  walkPageRange,
} from "@hetmem/mm";
import { Need } from "../walk-stop.ts";
import { type Hmm, hmmOf } from "./hmm.ts";
import { HmmVmaPfn } from "./hmm-vma-pfn.ts";
import { HmmVmaPfnWalk } from "./hmm-vma-pfn-walk.ts";

/** What is known of a part of a mapping, as long as it is true. @see struct hmm_range */
export class HmmVmaRange {
  readonly hmm: Hmm;
  readonly start: VirtAddr;
  /** First byte behind it. */
  readonly end: VirtAddr;
  /** Two words a page: see HmmVmaPfn. */
  readonly pfns: Int32Array;
  /** Whether nothing of it has changed since it began. */
  valid = true;

  constructor(hmm: Hmm, start: VirtAddr, end: VirtAddr, pfns: Int32Array) {
    this.hmm = hmm;
    this.start = start;
    this.end = end;
    this.pfns = pfns;
  }

  /** [start, end) changes: what is known of it is forgotten. */
  invalidate(start: VirtAddr, end: VirtAddr): void {
    if (end <= this.start || start >= this.end) return;
    this.valid = false;
    const first = Math.max(start, this.start) - this.start;
    this.pfns.fill(0, first / 2048, (Math.min(end, this.end) - this.start) / 2048);
  }
}

/**
 * Says of each page of a part of a mapping what the cpu's page table has. The mmap lock is held for reading, until
 * hmmVmaRangeDone() has been called for what this gives.
 *
 * @param pfns two words a page; what it held doesn't matter
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
 * The same, with faults for what isn't there, or can't be written to. In a mapping that can't be mirrored every page is
 * special, and that is no failure.
 *
 * @param write whether the device is going to write to all of it
 * @throws KernelError EINVAL outside the mapping, and for an address space without mirrors
 * @throws KernelError EFAULT, EPERM where a fault fails; pages from there on are unknown then, and hmmVmaRangeDone() isn't called
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
    // Ends: a fault brings what is asked for, or fails; only another task takes it away again.
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
 * Ends a snapshot. Called under the lock that the mirror's calls take, and so is what follows from the answer.
 *
 * @returns whether all of it is still true; if not, it begins again
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

/** Changes that have begun are waited for, and those that begin later are told of the range. */
function* begin(hmm: Hmm, start: VirtAddr, end: VirtAddr, pfns: Int32Array): Sleeps<HmmVmaRange> {
  let sequence: number;
  // Ends: with the last change that other tasks have begun; when one has been waited for, the next may be under way.
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
