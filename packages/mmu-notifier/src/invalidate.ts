// The bracket around every change of a mapping: invalidateRangeStart() before it, invalidateRangeEnd() after it. When
// start returns, no mirror uses the range any more. Interval notifiers are called first, those that overlap the range;
// then the notifiers of the address space, newest first. Without notifiers, both calls read one field. Kernel
// counterpart: mmu_notifier_invalidate_range_start() and _end() in mm/mmu_notifier.c.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { itreeEnd, itreeInvalidate } from "./itree.ts";
import type { NotifiedMm } from "./notified-mm.ts";
import { type MmuNotifierRange, mmuNotifierRangeBlockable } from "./range.ts";
import { describeRange, type NotifierSubscriptions } from "./subscriptions.ts";

/**
 * The lockdep class of callbacks. A task that waits for callbacks must not hold a lock that a callback takes.
 *
 * @see __mmu_notifier_invalidate_range_start_map
 */
export const INVALIDATE_MAP = "mmu_notifier_invalidate_range_start";

/**
 * Announces a change. Each callback makes its mirror stop using the range, and has returned when this returns.
 *
 * @param range the change; the same object must be passed to invalidateRangeEnd()
 * @see mmu_notifier_invalidate_range_start()
 */
export function* invalidateRangeStart(range: MmuNotifierRange): Sleeps<void> {
  const { notifiers } = range.mm;
  if (notifiers === undefined) return;
  notifiers.began(range, range.mm.vm.kernel.lockdep.current);
  yield* tellStart(notifiers, range);
}

/**
 * Does the same as invalidateRangeStart(), for a caller that can't sleep.
 *
 * @returns false if a callback would have to sleep: the caller gives up with EAGAIN, and must not call
 *   invalidateRangeEnd()
 * @throws KernelBug if a callback sleeps nevertheless
 * @see mmu_notifier_invalidate_range_start_nonblock()
 */
export function invalidateRangeStartNonblock(range: MmuNotifierRange): boolean {
  const { notifiers } = range.mm;
  if (notifiers === undefined) return true;
  const told = atomically(tellStart(notifiers, { ...range, blockable: false }), range);
  if (told) notifiers.began(range, range.mm.vm.kernel.lockdep.current);
  return told;
}

/**
 * Tells that an announced change is made. Mirrors may map the range again.
 *
 * @throws KernelBug if the range was never announced
 * @see mmu_notifier_invalidate_range_end()
 */
export function* invalidateRangeEnd(range: MmuNotifierRange): Sleeps<void> {
  const { notifiers } = range.mm;
  if (notifiers === undefined) return;
  notifiers.ended(range);
  if (!notifiers.heard) return;
  const { lockdep } = range.mm.vm.kernel;
  lockdep.acquiring(INVALIDATE_MAP);
  lockdep.acquired(INVALIDATE_MAP);
  try {
    if (notifiers.hasItree) itreeEnd(notifiers);
    yield* tellEnd(notifiers, range);
  } finally {
    lockdep.released(INVALIDATE_MAP);
  }
}

/**
 * Changes an entry without an invalidation, in an address space without notifiers. For an atomic path, which has
 * checked hasListeners() before. Notifier coverage takes the change for covered.
 *
 * @throws KernelBug if the address space has notifiers
 */
export function setUnheard(mm: NotifiedMm, entry: number, value: number, flags: number): void {
  const { notifiers } = mm;
  if (notifiers === undefined) mm.pageTable.set(entry, value, flags);
  else notifiers.unheard(() => mm.pageTable.set(entry, value, flags));
}

/** Whether an address space has notifiers, or had an interval notifier. @see mm_has_notifiers() */
export function hasListeners({ notifiers }: NotifiedMm): boolean {
  return notifiers !== undefined && notifiers.heard;
}

/**
 * Tells that entries have just changed, for hardware that caches translations of the CPU's own page tables. Atomic.
 *
 * @see mmu_notifier_invalidate_range()
 */
export function invalidateRange(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): void {
  const { notifiers } = mm;
  if (notifiers === undefined) return;
  for (const notifier of notifiers.list) notifier.ops.invalidateRange?.(notifier, mm, start, end);
}

/**
 * Tells that an entry maps another page now, within a range that is being invalidated. Atomic.
 *
 * @param value the new value word of the entry
 * @param flags the new flags of the entry
 * @see mmu_notifier_change_pte()
 */
export function notifyChangePte(mm: NotifiedMm, address: VirtAddr, value: number, flags: number): void {
  const { notifiers } = mm;
  if (notifiers === undefined) return;
  for (const notifier of notifiers.list) notifier.ops.changePte?.(notifier, mm, address, value, flags);
}

/**
 * Calls all start callbacks.
 *
 * @returns false if a callback refused since it may not sleep; those that had accepted have had their end callback
 */
function* tellStart(notifiers: NotifierSubscriptions, range: MmuNotifierRange): Sleeps<boolean> {
  if (!notifiers.heard) return true;
  const { lockdep } = range.mm.vm.kernel;
  lockdep.acquiring(INVALIDATE_MAP);
  lockdep.acquired(INVALIDATE_MAP);
  try {
    if (notifiers.hasItree && !(yield* itreeInvalidate(notifiers, range))) return false;
    if (yield* tellNotifiersStart(notifiers, range)) return true;
    // The kernel skips this: interval notifiers that were hit then wait for ever. @see
    // __mmu_notifier_invalidate_range_start()
    if (notifiers.hasItree) itreeEnd(notifiers);
    return false;
  } finally {
    lockdep.released(INVALIDATE_MAP);
  }
}

/**
 * Calls every notifier, also after one refused: a notifier can't know whether one before it has.
 *
 * @see mn_hlist_invalidate_range_start()
 */
function* tellNotifiersStart(notifiers: NotifierSubscriptions, range: MmuNotifierRange): Sleeps<boolean> {
  if (notifiers.list.length === 0) return true;
  const { notifierSrcu } = range.mm.vm;
  const reader = notifierSrcu.readLock();
  let told = true;
  try {
    for (const notifier of notifiers.list) {
      const { ops } = notifier;
      if (!notifier.listed || !ops.invalidateRangeStart) continue;
      if (yield* ops.invalidateRangeStart(notifier, range)) continue;
      if (mmuNotifierRangeBlockable(range))
        throw new KernelBug(`a notifier refuses ${describeRange(range)}, although it may sleep`);
      if (ops.invalidateRangeEnd)
        throw new KernelBug(`a notifier refuses ${describeRange(range)}, and would hear of its end`);
      told = false;
    }
    if (told) return true;
    for (const notifier of notifiers.list)
      if (notifier.listed && notifier.ops.invalidateRangeEnd)
        yield* notifier.ops.invalidateRangeEnd(notifier, range);
    return false;
  } finally {
    notifierSrcu.readUnlock(reader);
  }
}

/** @see mn_hlist_invalidate_end() */
function* tellEnd(notifiers: NotifierSubscriptions, range: MmuNotifierRange): Sleeps<void> {
  if (notifiers.list.length === 0) return;
  const { mm, start, end } = range;
  const { notifierSrcu } = mm.vm;
  const reader = notifierSrcu.readLock();
  try {
    for (const notifier of notifiers.list) {
      if (!notifier.listed) continue;
      // A notifier that only has invalidateRange() gets no call of its own at the end.
      notifier.ops.invalidateRange?.(notifier, mm, start, end);
      if (notifier.ops.invalidateRangeEnd) yield* notifier.ops.invalidateRangeEnd(notifier, range);
    }
  } finally {
    notifierSrcu.readUnlock(reader);
  }
}

/**
 * Runs a task that must not sleep.
 *
 * @throws KernelBug if the task yields
 * @see non_block_start()
 */
function atomically<T>(task: Sleeps<T>, range: MmuNotifierRange): T {
  const step = task.next();
  if (step.done) return step.value;
  throw new KernelBug(
    `a listener sleeps (${step.value.why}) where it must not: ${describeRange(range)} is not blockable`,
  );
}
