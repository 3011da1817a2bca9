// Interval notifiers: a driver fills its own tables from the CPU's page tables without locking out changes. It notes
// the sequence number of its interval, reads the page tables, takes its own lock and asks whether an invalidation has
// hit the interval since. If one has, the driver begins again. Kernel counterpart: mmu_interval_*() in
// mm/mmu_notifier.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { INVALIDATE_MAP } from "./invalidate.ts";
import type { NotifiedMm } from "./notified-mm.ts";
import { installItree } from "./register.ts";
import type { MmuIntervalNotifier, NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Inserts a notifier, which hears of every change in [start, start + length) from now on. While another range is being
 * invalidated, the notifier may enter the interval tree only after this returns; mmuIntervalReadBegin() waits for that.
 *
 * @param notifier a notifier that isn't inserted anywhere
 * @param mm address space to listen to
 * @param start first address of the interval, in bytes
 * @param length bytes
 * @throws KernelError EINVAL if length isn't positive
 * @throws KernelBug if the address space has no users, or the notifier is inserted already
 * @see mmu_interval_notifier_insert()
 */
export function* mmuIntervalNotifierInsert(
  notifier: MmuIntervalNotifier,
  mm: NotifiedMm,
  start: VirtAddr,
  length: number,
): Sleeps<void> {
  if (mm.notifiers?.hasItree !== true) {
    yield* mm.mmapLock.downWrite();
    try {
      yield* installItree(mm);
    } finally {
      mm.mmapLock.upWrite();
    }
  }
  insert(notifier, mm, start, length);
}

/**
 * Does the same as mmuIntervalNotifierInsert() for a caller that holds the mmap lock for writing.
 *
 * @throws KernelError EINVAL if length isn't positive
 * @throws KernelBug without the lock
 * @see mmu_interval_notifier_insert_locked()
 */
export function* mmuIntervalNotifierInsertLocked(
  notifier: MmuIntervalNotifier,
  mm: NotifiedMm,
  start: VirtAddr,
  length: number,
): Sleeps<void> {
  mm.assertWriteLocked("gets an interval notifier");
  if (mm.notifiers?.hasItree !== true) yield* installItree(mm);
  insert(notifier, mm, start, length);
}

/**
 * Removes an interval notifier. When this returns, no callback of the notifier runs or will run. A callback must not
 * call this, and a caller must not hold a lock that a callback takes: this waits for invalidations to end.
 *
 * @throws KernelBug if the notifier isn't inserted, or is being removed already
 * @see mmu_interval_notifier_remove()
 */
export function* mmuIntervalNotifierRemove(notifier: MmuIntervalNotifier): Sleeps<void> {
  const mm = mmOf(notifier);
  const notifiers = mm.notifiers as NotifierSubscriptions;
  const { itree } = notifiers;
  const sequence = notifiers.invalidateSeq;
  mm.vm.kernel.lockdep.acquiring(INVALIDATE_MAP);
  if (!notifiers.isInvalidating) {
    itree.remove(notifier);
  } else if (itree.has(notifier)) {
    if (notifiers.deferred.includes(notifier)) throw new KernelBug("an interval notifier is removed twice");
    notifiers.deferred.unshift(notifier);
    yield* notifiers.wait.waitEvent(() => notifiers.invalidateSeq !== sequence);
  } else {
    // The notifier was inserted during an invalidation and has not entered the tree: it need not enter any more.
    notifiers.deferred = notifiers.deferred.filter((other) => other !== notifier);
  }
  notifier.mm = undefined;
}

/**
 * Begins to read the page tables for an interval. Waits while an invalidation that hit the interval is under way, so
 * that the caller must not hold a lock that a callback takes.
 *
 * @returns the sequence number to pass to mmuIntervalReadRetry()
 * @throws KernelBug if the notifier isn't inserted
 * @see mmu_interval_read_begin()
 */
export function* mmuIntervalReadBegin(notifier: MmuIntervalNotifier): Sleeps<number> {
  const mm = mmOf(notifier);
  const notifiers = mm.notifiers as NotifierSubscriptions;
  const sequence = notifier.invalidateSeq;
  mm.vm.kernel.lockdep.acquiring(INVALIDATE_MAP);
  // The interval's number equals that of the address space only while the invalidation that set it is under way.
  if (sequence === notifiers.invalidateSeq)
    yield* notifiers.wait.waitEvent(() => notifiers.invalidateSeq !== sequence);
  return sequence;
}

/**
 * Whether an invalidation has hit the interval since mmuIntervalReadBegin(): the entries read since then may be
 * outdated, and the driver must begin again. The driver's lock must be held, the one its callback takes, until the
 * driver's tables are filled.
 *
 * @param sequence what mmuIntervalReadBegin() returned
 * @see mmu_interval_read_retry()
 */
export function mmuIntervalReadRetry(notifier: MmuIntervalNotifier, sequence: number): boolean {
  return notifier.invalidateSeq !== sequence;
}

/**
 * Does the same as mmuIntervalReadRetry(), without the driver's lock: true is certain, false may be outdated at once.
 *
 * @see mmu_interval_check_retry()
 */
export function mmuIntervalCheckRetry(notifier: MmuIntervalNotifier, sequence: number): boolean {
  return notifier.invalidateSeq !== sequence;
}

/**
 * Records that an invalidation has hit the interval. A callback calls this first, under the driver's lock.
 *
 * @param sequence what the callback was given
 * @see mmu_interval_set_seq()
 */
export function mmuIntervalSetSeq(notifier: MmuIntervalNotifier, sequence: number): void {
  notifier.invalidateSeq = sequence;
}

/** @see __mmu_interval_notifier_insert() */
function insert(notifier: MmuIntervalNotifier, mm: NotifiedMm, start: VirtAddr, length: number): void {
  if (length <= 0)
    throw new KernelError("EINVAL", `${length} bytes from 0x${start.toString(16)} are no range to listen to`);
  if (mm.users <= 0) throw new KernelBug(`an interval notifier comes to mm ${mm.id}, which has no users`);
  if (notifier.mm !== undefined) throw new KernelBug("an interval notifier is inserted twice");
  const notifiers = mm.notifiers as NotifierSubscriptions;
  notifier.mm = mm;
  notifier.start = start;
  notifier.last = (start + length - 1) as VirtAddr;
  if (notifiers.activeInvalidateRanges === 0) {
    // Odd, and below the number of every later invalidation.
    notifier.invalidateSeq = notifiers.invalidateSeq - 1;
    notifiers.itree.insert(notifier);
    return;
  }
  // The ranges of the invalidations that are under way aren't recorded by address: assume that one of them overlaps.
  if (notifiers.isInvalidating) {
    notifiers.deferred.unshift(notifier);
  } else {
    notifiers.invalidateSeq++;
    notifiers.itree.insert(notifier);
  }
  notifier.invalidateSeq = notifiers.invalidateSeq;
}

function mmOf({ mm }: MmuIntervalNotifier): NotifiedMm {
  if (mm === undefined) throw new KernelBug("an interval notifier is not inserted in any address space");
  return mm;
}
