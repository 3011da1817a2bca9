// How a change reaches the intervals that it overlaps. While one of them is told, the tree must stay as it is, and the
// sequence is odd; who wants to enter or leave it meanwhile is put on a list, and served when the last change is over.
// Nobody blocks a change, however many begin. Kernel counterpart: mn_itree_*() in mm/mmu_notifier.c.
import { KernelBug, type Sleeps } from "@hetmem/kernel";
import { type MmuNotifierRange, mmuNotifierRangeBlockable } from "./range.ts";
import { describeRange, type NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Counts a change that begins, and tells the intervals.
 *
 * @returns false when one of them would have to sleep; the change is counted off again
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

/** @returns the sequence of the change @see mn_itree_inv_start_range() */
function itreeStart(notifiers: NotifierSubscriptions, { start, end }: MmuNotifierRange): number {
  notifiers.activeInvalidateRanges++;
  if (!notifiers.isInvalidating && notifiers.itree.overlaps(start, end - 1)) notifiers.invalidateSeq++;
  return notifiers.invalidateSeq;
}

/** A change is over. The last one of all lets those in who waited. @see mn_itree_inv_end() */
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
