// The interval tree of an address space, and how an invalidation reaches the intervals that overlap it. The tree must
// not change while callbacks run over it: the sequence number is odd then, and notifiers to be inserted or removed go
// to a list, which the end of the last invalidation works off. Invalidations never wait for one another. Kernel
// counterpart: mn_itree_*() in mm/mmu_notifier.c.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import { type MmuNotifierRange, mmuNotifierRangeBlockable } from "./range.ts";
import { describeRange, type NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Counts an invalidation that begins, and calls the interval notifiers that overlap it.
 *
 * @returns false if one of them refused since it may not sleep; the invalidation is counted as ended then
 * @throws KernelBug if one refuses although it may sleep
 * @see mn_itree_invalidate()
 */
export function* itreeInvalidate(notifiers: NotifierSubscriptions, range: MmuNotifierRange): Sleeps<boolean> {
  const sequence = itreeStart(notifiers, range);
  for (const notifier of notifiers.itree.overlapping(range.start, range.end - 1)) {
    if (yield* notifier.ops.invalidate(notifier, range, sequence)) continue;
    if (mmuNotifierRangeBlockable(range))
      throw new KernelBug(`an interval notifier refuses ${describeRange(range)}, although it may sleep`);
    itreeEnd(notifiers);
    return false;
  }
  return true;
}

/**
 * Counts an invalidation. The sequence number becomes odd if the range overlaps an interval.
 *
 * @returns the sequence number
 * @see mn_itree_inv_start_range()
 */
function itreeStart(notifiers: NotifierSubscriptions, { start, end }: MmuNotifierRange): number {
  notifiers.activeInvalidateRanges++;
  if (!notifiers.isInvalidating && notifiers.itree.overlaps(start, end - 1)) notifiers.invalidateSeq++;
  return notifiers.invalidateSeq;
}

/**
 * Counts an invalidation that ends. The last one applies the deferred insertions and removals.
 *
 * @see mn_itree_inv_end()
 */
export function itreeEnd(notifiers: NotifierSubscriptions): void {
  if (--notifiers.activeInvalidateRanges > 0 || !notifiers.isInvalidating) return;
  notifiers.invalidateSeq++;
  const { deferred, itree } = notifiers;
  notifiers.deferred = [];
  for (const notifier of deferred) {
    if (itree.has(notifier)) itree.remove(notifier);
    else itree.insert(notifier);
  }
}
