// The pages of a process as a device may use them: reads the cpu's page tables, and lets faults bring what is asked for
// and isn't there. Kernel counterpart: hmm_range_fault() in mm/hmm.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  mmapAssertLocked,
  type MmStruct,
  mmuIntervalCheckRetry,
  type MmuIntervalNotifier,
  walkPageRange,
} from "@hetmem/mm";
import { HmmVmaWalk } from "./hmm-vma-walk.ts";
import { Need } from "./walk-stop.ts";

/** What is asked, and where the answers go. @see struct hmm_range */
export interface HmmRange {
  /** Hears of changes in the range, and may in a larger one. Its mm is the one that is looked at. */
  readonly notifier: MmuIntervalNotifier;
  /** What mmuIntervalReadBegin() said before. */
  notifierSeq: number;
  readonly start: VirtAddr;
  /** First byte behind it. Both are first bytes of pages. */
  readonly end: VirtAddr;
  /** Two words a page: see hmmPfnToPage(), hmmPfnFlags(). What an entry asks for is replaced by the answer. */
  readonly hmmPfns: Int32Array;
  /** HmmPfn bits that are asked for at every page; 0 asks for none: a snapshot, which changes nothing. */
  readonly defaultFlags: number;
  /** HmmPfn bits that single entries may ask for. */
  readonly pfnFlagsMask: number;
  /** Of the device: pages in its own memory are given as they are, those in others' are moved back if they are asked for. */
  readonly devPrivateOwner?: unknown;
}

/**
 * "ok": every entry holds an answer. "busy" is the kernel's EBUSY: the range has changed since mmuIntervalReadBegin(), and all
 * begins again there. It is no error, because it is not rare.
 */
export type HmmRangeResult = "ok" | "busy";

/**
 * Says of each page of a range what the cpu's page table has, with faults for what is asked for and missing. The mmap
 * lock is held for reading throughout. The answers may be used once mmuIntervalReadRetry() has said, under the lock
 * that the driver's invalidate takes, that nothing has changed meanwhile.
 *
 * Where it is "busy" or fails, entries in front hold answers and others still hold what was asked: who asks by entry
 * writes them anew before he tries again.
 *
 * @throws KernelError EFAULT where a page that is asked for can't be had: no mapping, a forbidden or an unsupported one, a
 *   fault that failed
 * @throws KernelError EPERM where it is asked for writing, and the mapping is read only
 * @throws KernelError EINVAL for a range that is empty, or doesn't begin and end with a page
 * @throws KernelBug without the mmap lock, or with a notifier that listens to nobody
 * @see hmm_range_fault() in mm/hmm.c
 */
export function* hmmRangeFault(range: HmmRange): Sleeps<HmmRangeResult> {
  const mm = mmOf(range);
  const walk = new HmmVmaWalk(mm, range);
  // Ends: a fault brings what is asked for, or fails; what takes it away again notifies, and then the answer is "busy".
  for (;;) {
    if (mmuIntervalCheckRetry(range.notifier, range.notifierSeq)) return "busy";
    const need = walkPageRange(mm, walk.stop.last, range.end, walk);
    if (need === Need.nothing) return "ok";
    yield* walk.stop.provide(mm, need);
  }
}

function mmOf({ notifier, start, end, hmmPfns }: HmmRange): MmStruct {
  const { mm } = notifier;
  const where = `0x${start.toString(16)}-0x${end.toString(16)}`;
  if (mm === undefined) throw new KernelBug(`${where} is mirrored with a notifier that listens to nobody`);
  mmapAssertLocked(mm, `is mirrored at ${where}`);
  if (start >= end || start % 4096 !== 0 || end % 4096 !== 0)
    throw new KernelError("EINVAL", `${where} are no whole pages to mirror`);
  if (hmmPfns.length * 2048 < end - start)
    throw new KernelBug(`${hmmPfns.length} words are too few for ${(end - start) / 4096} pages`);
  return mm;
}
