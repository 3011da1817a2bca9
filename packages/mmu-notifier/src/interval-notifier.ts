// Listeners to a range, and how they fill their own tables from the cpu's without holding anything off. A reader notes
// the sequence of its interval, looks at the page tables as long as it likes, and asks under its own lock whether an
// invalidation has hit the interval since: if so, it begins again. Kernel counterpart: mmu_interval_*() in
// mm/mmu_notifier.c.
import { KernelBug, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { INVALIDATE_MAP } from "./invalidate.ts";
import type { NotifiedMm } from "./notified-mm.ts";
import { installItree } from "./register.ts";
import type { MmuIntervalNotifier, NotifierSubscriptions } from "./subscriptions.ts";

/**
 * Lets a notifier hear of every change in [start, start + length) from now on. While a range is changing, it may enter
 * the tree later than this returns, but mmuIntervalReadBegin() knows that.
 *
 * @param length bytes
 * @throws KernelError EINVAL for an empty range
 * @throws KernelBug for an address space without users
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

/** The same with the mmap lock held for writing. @throws KernelBug without it @see mmu_interval_notifier_insert_locked() */
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
 * The notifier hears of nothing any more when this returns, and no callback of it runs. Not to be called from a callback,
 * nor with a lock held that a callback takes.
 *
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
    // It has not entered the tree yet, and needn't.
    notifiers.deferred = notifiers.deferred.filter((other) => other !== notifier);
  }
  notifier.mm = undefined;
}

/**
 * Begins a look at the cpu's tables. Waits while an invalidation that hit the interval is under way. Not to be called with
 * a lock held that a callback takes.
 *
 * @returns what mmuIntervalReadRetry() wants
 * @see mmu_interval_read_begin()
 */
export function* mmuIntervalReadBegin(notifier: MmuIntervalNotifier): Sleeps<number> {
  const mm = mmOf(notifier);
  const notifiers = mm.notifiers as NotifierSubscriptions;
  const sequence = notifier.invalidateSeq;
  mm.vm.kernel.lockdep.acquiring(INVALIDATE_MAP);
  // The interval's number is the address space's only as long as the invalidation that set it runs.
  if (sequence === notifiers.invalidateSeq)
    yield* notifiers.wait.waitEvent(() => notifiers.invalidateSeq !== sequence);
  return sequence;
}

/**
 * Whether what was seen since mmuIntervalReadBegin() may be wrong: then all begins again. Asked under the lock that the
 * driver's callback takes, and its tables are filled under the same.
 *
 * @see mmu_interval_read_retry()
 */
export function mmuIntervalReadRetry(notifier: MmuIntervalNotifier, sequence: number): boolean {
  return notifier.invalidateSeq !== sequence;
}

/** The same without the lock: yes is certain, no is not. @see mmu_interval_check_retry() */
export function mmuIntervalCheckRetry(notifier: MmuIntervalNotifier, sequence: number): boolean {
  return notifier.invalidateSeq !== sequence;
}

/** What a callback does first, under the driver's lock, with the sequence that it was given. @see mmu_interval_set_seq() */
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
    // Odd, and not the number of any invalidation to come.
    notifier.invalidateSeq = notifiers.invalidateSeq - 1;
    notifiers.itree.insert(notifier);
    return;
  }
  // Which ranges are changing, nobody knows by now: this one is taken to be among them.
  if (notifiers.isInvalidating) {
    notifiers.deferred.unshift(notifier);
  } else {
    notifiers.invalidateSeq++;
    notifiers.itree.insert(notifier);
  }
  notifier.invalidateSeq = notifiers.invalidateSeq;
}

function mmOf({ mm }: MmuIntervalNotifier): NotifiedMm {
  if (mm === undefined) throw new KernelBug("an interval notifier that listens to nobody");
  return mm;
}
