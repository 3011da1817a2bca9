// Every change of a mapping is bracketed: start before it, end after it. When start returns, everybody who mirrors the
// range has let go of it. Intervals are asked first, by their addresses; then notifiers, the newest first. An address
// space that nobody listens to pays one look. Kernel counterpart: mmu_notifier_invalidate_range_start() and _end() in
// mm/mmu_notifier.c.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { itreeEnd, itreeInvalidate } from "./itree.ts";
import type { NotifiedMm } from "./notified-mm.ts";
import { type MmuNotifierRange, mmuNotifierRangeBlockable } from "./range.ts";
import { describeRange, type NotifierSubscriptions } from "./subscriptions.ts";

/**
 * What lockdep knows listeners by: a lock that a callback takes must not be held by who waits for callbacks.
 *
 * @see __mmu_notifier_invalidate_range_start_map
 */
export const INVALIDATE_MAP = "mmu_notifier_invalidate_range_start";

/** Tells everybody who mirrors the range that it changes; they have let go when this returns. Costs a look when nobody does. */
export function* invalidateRangeStart(range: MmuNotifierRange): Sleeps<void> {
  const { notifiers } = range.mm;
  if (notifiers === undefined) return;
  notifiers.began(range, range.mm.vm.kernel.lockdep.current);
  yield* tellStart(notifiers, range);
}

/** The same for callers that can't sleep. @returns false where a listener would have to: EAGAIN, and nothing is to be undone or ended */
export function invalidateRangeStartNonblock(range: MmuNotifierRange): boolean {
  const { notifiers } = range.mm;
  if (notifiers === undefined) return true;
  const told = atomically(tellStart(notifiers, { ...range, blockable: false }), range);
  if (told) notifiers.began(range, range.mm.vm.kernel.lockdep.current);
  return told;
}

/** The change is made. @throws KernelBug for a range that never began */
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
 * Changes an entry of an address space that nobody listens to, without an invalidation: for a path that is atomic and has
 * looked at hasListeners() itself. Where coverage is watched, the change counts as covered.
 *
 * @throws KernelBug when somebody listens
 */
export function setUnheard(mm: NotifiedMm, entry: number, value: number, flags: number): void {
  const { notifiers } = mm;
  if (notifiers === undefined) mm.pageTable.set(entry, value, flags);
  else notifiers.unheard(() => mm.pageTable.set(entry, value, flags));
}

/** Whether anybody would have to be told of a change. @see mm_has_notifiers() */
export function hasListeners({ notifiers }: NotifiedMm): boolean {
  return notifiers !== undefined && notifiers.heard;
}

/** Entries have just changed: whoever caches the cpu's own tables forgets them. Atomic. @see mmu_notifier_invalidate_range() */
export function invalidateRange(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): void {
  const { notifiers } = mm;
  if (notifiers === undefined) return;
  for (const notifier of notifiers.list) notifier.ops.invalidateRange?.(notifier, mm, start, end);
}

/** An entry maps another page from now on, in a range that is being invalidated. Atomic. @see mmu_notifier_change_pte() */
export function notifyChangePte(mm: NotifiedMm, address: VirtAddr, value: number, flags: number): void {
  const { notifiers } = mm;
  if (notifiers === undefined) return;
  for (const notifier of notifiers.list) notifier.ops.changePte?.(notifier, mm, address, value, flags);
}

/** @returns false when one who must not sleep would have to; who had let go by then has had his end */
function* tellStart(notifiers: NotifierSubscriptions, range: MmuNotifierRange): Sleeps<boolean> {
  if (!notifiers.heard) return true;
  const { lockdep } = range.mm.vm.kernel;
  lockdep.acquiring(INVALIDATE_MAP);
  lockdep.acquired(INVALIDATE_MAP);
  try {
    if (notifiers.hasItree && !(yield* itreeInvalidate(notifiers, range))) return false;
    if (yield* tellNotifiersStart(notifiers, range)) return true;
    // The kernel forgets this one, and intervals that were hit wait for ever. @see __mmu_notifier_invalidate_range_start()
    if (notifiers.hasItree) itreeEnd(notifiers);
    return false;
  } finally {
    lockdep.released(INVALIDATE_MAP);
  }
}

/** Asks all of them, even if one refuses: none of them can know that. @see mn_hlist_invalidate_range_start() */
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
      // Who only hears of changed entries needs no end of his own.
      notifier.ops.invalidateRange?.(notifier, mm, start, end);
      if (notifier.ops.invalidateRangeEnd) yield* notifier.ops.invalidateRangeEnd(notifier, range);
    }
  } finally {
    notifierSrcu.readUnlock(reader);
  }
}

/** @throws KernelBug when a listener sleeps @see non_block_start() */
function atomically<T>(task: Sleeps<T>, range: MmuNotifierRange): T {
  const step = task.next();
  if (step.done) return step.value;
  throw new KernelBug(
    `a listener sleeps (${step.value.why}) where it must not: ${describeRange(range)} is not blockable`,
  );
}
