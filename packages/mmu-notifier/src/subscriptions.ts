// The notifiers of one address space, and the invalidations that are under way in it. A notifier hears of every change,
// an interval notifier of the changes in its range. Kernel counterparts: struct mmu_notifier_subscriptions in
// mm/mmu_notifier.c, struct mmu_notifier_ops and struct mmu_interval_notifier in include/linux/mmu_notifier.h.
import { KernelBug, type LockHolder, type Sleeps, type VirtAddr, WaitQueue } from "@hetmem/kernel";
import { IntervalTree } from "@hetmem/kernel/lib";
import type { NotifiedMm } from "./notified-mm.ts";
import type { MmuNotifierRange } from "./range.ts";
import "./version.ts";

/** Callbacks of a notifier, all of them optional. @see struct mmu_notifier_ops */
export interface MmuNotifierOps<D = unknown> {
  /**
   * Drops every mapping, and makes no new ones: the address space ends. The unregistration of a notifier calls this,
   * too; both calls can come when they coincide.
   */
  release?(notifier: MmuNotifier<D>, mm: NotifiedMm): Sleeps<void>;
  /**
   * Drops the mappings of a range that is about to change, and makes none before the end callback.
   *
   * @returns false if that needs sleep and the range isn't blockable; there is no end callback then, and the ops must
   *   not have one
   */
  invalidateRangeStart?(notifier: MmuNotifier<D>, range: MmuNotifierRange): Sleeps<boolean>;
  /** The range has changed: mappings may be made again. */
  invalidateRangeEnd?(notifier: MmuNotifier<D>, range: MmuNotifierRange): Sleeps<void>;
  /**
   * Entries of the range have just changed. For hardware that caches translations of the CPU's own page tables. Atomic.
   */
  invalidateRange?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): void;
  /** An entry maps another page now. The mirror may take over the page without a fault. Atomic. */
  changePte?(notifier: MmuNotifier<D>, mm: NotifiedMm, address: VirtAddr, value: number, flags: number): void;
  /**
   * Whether the device has accessed the range since its accessed bits were last cleared. Clears them, and flushes the
   * device's TLB. Atomic.
   */
  clearFlushYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean;
  /** Does the same as clearFlushYoung(), without the flush. Atomic. */
  clearYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean;
  /** Whether the device has accessed the page since its accessed bit was last cleared. Clears nothing. Atomic. */
  testYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, address: VirtAddr): boolean;
  /** Makes the data of a notifier for mmuNotifierGet(). @throws KernelError ENOMEM */
  allocNotifier?(mm: NotifiedMm): D;
  /** Frees the data of a notifier after its last mmuNotifierPut(). No callback runs any more. */
  freeNotifier?(notifier: MmuNotifier<D>): void;
}

/** A notifier of a whole address space. @see struct mmu_notifier */
export class MmuNotifier<D = unknown> {
  readonly ops: MmuNotifierOps<D>;
  /** Data of the driver. */
  readonly data: D;
  /** The address space; undefined until the notifier is registered. */
  mm: NotifiedMm | undefined = undefined;
  /** References from mmuNotifierGet(). @see struct mmu_notifier */
  users = 0;
  /** Whether the notifier is on the list of its address space. */
  listed = false;

  constructor(ops: MmuNotifierOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/** Callback of an interval notifier. @see struct mmu_interval_notifier_ops */
export interface MmuIntervalNotifierOps<D = unknown> {
  /**
   * Drops the mappings in a part of the interval that is about to change. Does so under the lock that the driver holds
   * around mmuIntervalReadRetry(), and calls mmuIntervalSetSeq() with the sequence number first.
   *
   * @returns false if that needs sleep and the range isn't blockable
   */
  invalidate(notifier: MmuIntervalNotifier<D>, range: MmuNotifierRange, sequence: number): Sleeps<boolean>;
}

/** A notifier of a range of addresses. @see struct mmu_interval_notifier */
export class MmuIntervalNotifier<D = unknown> {
  readonly ops: MmuIntervalNotifierOps<D>;
  /** Data of the driver. */
  readonly data: D;
  mm: NotifiedMm | undefined = undefined;
  start: VirtAddr = 0 as VirtAddr;
  /** Last address of the interval. */
  last: VirtAddr = 0 as VirtAddr;
  /** Sequence number of the last invalidation that hit the interval. Always odd. @see invalidate_seq */
  invalidateSeq = 1;

  constructor(ops: MmuIntervalNotifierOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/** An invalidation that is under way, and the task that began it. */
interface ActiveRange {
  readonly range: MmuNotifierRange;
  readonly by: LockHolder;
}

/** First sequence number of an address space: even, and thus never the number of an interval. */
const FIRST_SEQUENCE = 2;

/** The notifiers of an address space, and its invalidations under way. @see struct mmu_notifier_subscriptions */
export class NotifierSubscriptions {
  /** Notifiers, newest first. A change replaces the array, so that a loop over it is not disturbed. */
  list: readonly MmuNotifier[] = [];
  /** Whether an interval notifier was ever inserted. */
  hasItree = false;
  /** Sequence number: odd while a range that overlaps an interval is being invalidated. @see invalidate_seq */
  invalidateSeq: number = FIRST_SEQUENCE;
  readonly itree: IntervalTree<MmuIntervalNotifier> = new IntervalTree<MmuIntervalNotifier>(
    (notifier) => notifier.start,
    (notifier) => notifier.last,
  );
  /**
   * Interval notifiers to insert, or to remove if they are in the tree, when no invalidation is under way. Newest
   * first.
   *
   * @see deferred_list
   */
  deferred: MmuIntervalNotifier[] = [];
  readonly wait: WaitQueue = new WaitQueue("the end of an invalidation");
  /** Invalidations under way. @see active_invalidate_ranges */
  activeInvalidateRanges = 0;
  /**
   * Whether mmuNotifierRelease() has run: no mirror has mappings any more, and the changes at the end of the address
   * space need no invalidation.
   */
  released = false;
  /** Invalidations that are under way, in the order in which they began. */
  private readonly active: ActiveRange[] = [];
  private changesUnheard = false;

  /** Whether a range that overlaps an interval is being invalidated. @see mn_itree_is_invalidating() */
  get isInvalidating(): boolean {
    return this.invalidateSeq % 2 === 1;
  }

  /** Whether there may be notifiers to call. */
  get heard(): boolean {
    return this.hasItree || this.list.length > 0;
  }

  /** Makes a change that needs no invalidation, since there are no notifiers. @throws KernelBug if there are */
  unheard(change: () => void): void {
    if (this.heard) throw new KernelBug("an entry changes without an invalidation, and somebody listens");
    this.changesUnheard = true;
    change();
    this.changesUnheard = false;
  }

  began(range: MmuNotifierRange, by: LockHolder): void {
    this.active.push({ range, by });
  }

  /** Records the end of an invalidation. @throws KernelBug if the range never began */
  ended(range: MmuNotifierRange): void {
    const at = this.active.findLastIndex((active) => active.range === range);
    if (at < 0) throw new KernelBug(`an invalidation ends that never began: ${describeRange(range)}`);
    this.active.splice(at, 1);
  }

  /** Whether a task has an invalidation under way that covers all of [start, end). */
  covers(start: VirtAddr, end: VirtAddr, by: LockHolder): boolean {
    if (this.released || this.changesUnheard) return true;
    for (const { range, by: holder } of this.active)
      if (range.start <= start && range.end >= end && holder === by) return true;
    return false;
  }

  /** The invalidations that are under way, for messages. */
  describeActive(): string {
    if (this.active.length === 0) return "none";
    return this.active.map(({ range, by }) => `${describeRange(range)} by ${by.name}`).join(", ");
  }
}

/** One line for an invalidation, such as `unmap of 0x1000-0x2000 in mm 3`. */
export function describeRange({ mm, start, end, event }: MmuNotifierRange): string {
  return `${event} of 0x${start.toString(16)}-0x${end.toString(16)} in mm ${mm.id}`;
}
