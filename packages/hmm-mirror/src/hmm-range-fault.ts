// Snapshots of a process's page table for a device, with faults for the pages that are requested and missing. Kernel
// counterpart: hmm_range_fault() in mm/hmm.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, type MmStruct, mmStruct, walkPageRange } from "@hetmem/mm";
import { mmuIntervalCheckRetry, type MmuIntervalNotifier } from "@hetmem/mmu-notifier";
import { HmmVmaWalk } from "./hmm-vma-walk.ts";
import { Need } from "./walk-stop.ts";
import "./version.ts";

/** Arguments of hmmRangeFault(). @see struct hmm_range */
export interface HmmRange {
  /** Notifier that covers at least the range. Its mm is the address space to read. */
  readonly notifier: MmuIntervalNotifier;
  /** Sequence number from mmuIntervalReadBegin(). */
  notifierSeq: number;
  readonly start: VirtAddr;
  /** First byte after the range. `start` and `end` are page-aligned. */
  readonly end: VirtAddr;
  /** Two words per page: see hmmPfnToPage(), hmmPfnFlags(). The result replaces an entry's request. */
  readonly hmmPfns: Int32Array;
  /** HmmPfn bits requested for every page. 0 requests none: a snapshot, which faults nothing in. */
  readonly defaultFlags: number;
  /** HmmPfn bits that single entries may request. */
  readonly pfnFlagsMask: number;
  /**
   * Owner of the device's pagemaps: its own private pages are returned as they are. Requested private pages of other
   * owners are migrated to RAM.
   */
  readonly devPrivateOwner?: unknown;
}

/**
 * "ok": every entry holds a result. "busy", the kernel's -EBUSY: the range has changed since mmuIntervalReadBegin(),
 * from where the caller retries. A return value instead of an error, because it is frequent.
 */
export type HmmRangeResult = "ok" | "busy";

/**
 * Port: how a driver sees a process's pages. hmmRangeFault() is the kernel's implementation; a driver that takes the port as an
 * option runs with any other.
 */
export type HmmRangeFault = (range: HmmRange) => Sleeps<HmmRangeResult>;

/**
 * Reads the page table entries of a range, and faults in requested pages that are missing. The mmap lock is held for
 * reading throughout. The results may be used after mmuIntervalReadRetry() has returned false under the lock that the
 * driver's invalidate takes.
 *
 * After "busy" or an error, the first entries hold results and the rest still hold requests. A caller that requests
 * single entries writes them again before a retry.
 *
 * @returns "ok", or "busy" when the range changed
 * @throws KernelError EFAULT for a requested page without a mapping, in a mapping that can't be read or mirrored, or
 * where a fault fails
 * @throws KernelError EPERM when write is requested in a read-only mapping
 * @throws KernelError EINVAL for an empty or unaligned range
 * @throws KernelBug without the mmap lock, with an unregistered notifier, or an array that is too short
 * @see hmm_range_fault() in mm/hmm.c
 */
export function* hmmRangeFault(range: HmmRange): Sleeps<HmmRangeResult> {
  const mm = mmOf(range);
  const walk = new HmmVmaWalk(mm, range);
  // Ends: a fault provides the page or fails, and a later removal of the page is notified, which ends the loop
  // with "busy".
  for (;;) {
    if (mmuIntervalCheckRetry(range.notifier, range.notifierSeq)) return "busy";
    const need = walkPageRange(mm, walk.stop.last, range.end, walk);
    if (need === Need.nothing) return "ok";
    yield* walk.stop.provide(mm, need);
  }
}

function mmOf({ notifier, start, end, hmmPfns }: HmmRange): MmStruct {
  const mm = notifier.mm && mmStruct(notifier.mm);
  const where = `0x${start.toString(16)}-0x${end.toString(16)}`;
  if (mm === undefined) throw new KernelBug(`${where} is mirrored with a notifier that listens to nobody`);
  mmapAssertLocked(mm, `is mirrored at ${where}`);
  if (start >= end || start % 4096 !== 0 || end % 4096 !== 0)
    throw new KernelError("EINVAL", `${where} are no whole pages to mirror`);
  if (hmmPfns.length * 2048 < end - start)
    throw new KernelBug(`${hmmPfns.length} words are too few for ${(end - start) / 4096} pages`);
  return mm;
}
