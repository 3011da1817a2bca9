// Who hears of changes of an address space: notifiers, which hear of all of them, and interval notifiers, which hear of
// those in a range; and which changes are under way. Kernel counterparts: struct mmu_notifier_subscriptions in
// mm/mmu_notifier.c, struct mmu_notifier_ops and struct mmu_interval_notifier in include/linux/mmu_notifier.h.
import { KernelBug, type LockHolder, type Sleeps, type VirtAddr, WaitQueue } from "@hetmem/kernel";
import { IntervalTree } from "@hetmem/kernel/lib";
import type { NotifiedMm } from "./notified-mm.ts";
import type { MmuNotifierRange } from "./range.ts";

/** What a listener does. All may be absent. @see struct mmu_notifier_ops */
export interface MmuNotifierOps<D = unknown> {
  /**
   * The address space goes, or its pages are about to be left to others: drops every mapping, and makes no new ones. Who
   * unregisters just when the address space ends is called by both.
   */
  release?(notifier: MmuNotifier<D>, mm: NotifiedMm): Sleeps<void>;
  /**
   * The range is about to change: drops its mappings, and makes none before the end is called.
   *
   * @returns false when it had to sleep for that and must not: the end is not called then, and must not exist
   */
  invalidateRangeStart?(notifier: MmuNotifier<D>, range: MmuNotifierRange): Sleeps<boolean>;
  /** The range has changed. */
  invalidateRangeEnd?(notifier: MmuNotifier<D>, range: MmuNotifierRange): Sleeps<void>;
  /** Entries of the range have just changed: for hardware that walks the cpu's own tables and caches them. Atomic. */
  invalidateRange?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): void;
  /** An entry maps another page now: it may be taken over without a fault. Atomic. */
  changePte?(notifier: MmuNotifier<D>, mm: NotifiedMm, address: VirtAddr, value: number, flags: number): void;
  /** Whether the device has used the range since the last look; it forgets, and its TLB with it. Atomic. */
  clearFlushYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean;
  /** The same, where the TLB may remember. Atomic. */
  clearYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean;
  /** The same without forgetting. Atomic. */
  testYoung?(notifier: MmuNotifier<D>, mm: NotifiedMm, address: VirtAddr): boolean;
  /** What a new notifier of mmuNotifierGet() carries. @throws KernelError ENOMEM */
  allocNotifier?(mm: NotifiedMm): D;
  /** The last mmuNotifierPut() is over, and so are all callbacks. */
  freeNotifier?(notifier: MmuNotifier<D>): void;
}

/** A listener to a whole address space. @see struct mmu_notifier */
export class MmuNotifier<D = unknown> {
  readonly ops: MmuNotifierOps<D>;
  /** The driver's own. */
  readonly data: D;
  /** Whom it listens to, undefined until it is registered. */
  mm: NotifiedMm | undefined = undefined;
  /** @see mmuNotifierGet() */
  users = 0;
  /** Whether it is on the list of its address space. */
  listed = false;

  constructor(ops: MmuNotifierOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/** @see struct mmu_interval_notifier_ops */
export interface MmuIntervalNotifierOps<D = unknown> {
  /**
   * A part of the interval is about to change: under the lock that the driver also takes around mmuIntervalReadRetry(),
   * notes the sequence with mmuIntervalSetSeq() and drops its mappings.
   *
   * @returns false when it had to sleep for that and must not
   */
  invalidate(notifier: MmuIntervalNotifier<D>, range: MmuNotifierRange, sequence: number): Sleeps<boolean>;
}

/** A listener to a range. @see struct mmu_interval_notifier */
export class MmuIntervalNotifier<D = unknown> {
  readonly ops: MmuIntervalNotifierOps<D>;
  /** The driver's own. */
  readonly data: D;
  mm: NotifiedMm | undefined = undefined;
  start: VirtAddr = 0 as VirtAddr;
  /** Last byte in it. */
  last: VirtAddr = 0 as VirtAddr;
  /** Of the last invalidation that hit it. Always odd. @see invalidate_seq */
  invalidateSeq = 1;

  constructor(ops: MmuIntervalNotifierOps<D>, data: D) {
    this.ops = ops;
    this.data = data;
  }
}

/** A change that has begun, and whose. */
interface ActiveRange {
  readonly range: MmuNotifierRange;
  readonly by: LockHolder;
}

/** Sequence that an address space begins with: even, and no interval's. */
const FIRST_SEQUENCE = 2;

export class NotifierSubscriptions {
  /** The newest first. Replaced at each change: who walks it has it as it was. */
  list: readonly MmuNotifier[] = [];
  /** Whether anybody ever had an interval here. */
  hasItree = false;
  /** Odd while a range is changing that an interval may overlap. @see invalidate_seq */
  invalidateSeq: number = FIRST_SEQUENCE;
  readonly itree: IntervalTree<MmuIntervalNotifier> = new IntervalTree<MmuIntervalNotifier>(
    (notifier) => notifier.start,
    (notifier) => notifier.last,
  );
  /** To enter the tree, or to leave it if they are in it, when no range changes any more. The newest first. @see deferred_list */
  deferred: MmuIntervalNotifier[] = [];
  readonly wait: WaitQueue = new WaitQueue("the end of an invalidation");
  /** How many changes are under way that the intervals were asked about. @see active_invalidate_ranges */
  activeInvalidateRanges = 0;
  /** Everybody has let go of everything, and will not come back: the address space's end need not be told in parts. */
  released = false;
  /** Changes that began and haven't ended, in the order in which they began. */
  private readonly active: ActiveRange[] = [];
  private changesUnheard = false;

  /** @see mn_itree_is_invalidating() */
  get isInvalidating(): boolean {
    return this.invalidateSeq % 2 === 1;
  }

  /** Whether there is anybody to tell. */
  get heard(): boolean {
    return this.hasItree || this.list.length > 0;
  }

  /** A change that needs no invalidation, since nobody listens. @throws KernelBug when somebody does */
  unheard(change: () => void): void {
    if (this.heard) throw new KernelBug("an entry changes without an invalidation, and somebody listens");
    this.changesUnheard = true;
    change();
    this.changesUnheard = false;
  }

  began(range: MmuNotifierRange, by: LockHolder): void {
    this.active.push({ range, by });
  }

  /** @throws KernelBug for a range that never began */
  ended(range: MmuNotifierRange): void {
    const at = this.active.findLastIndex((active) => active.range === range);
    if (at < 0) throw new KernelBug(`an invalidation ends that never began: ${describeRange(range)}`);
    this.active.splice(at, 1);
  }

  /** Whether a task may change all of [start, end): it has begun that, and hasn't ended it. */
  covers(start: VirtAddr, end: VirtAddr, by: LockHolder): boolean {
    if (this.released || this.changesUnheard) return true;
    for (const { range, by: holder } of this.active)
      if (range.start <= start && range.end >= end && holder === by) return true;
    return false;
  }

  /** For reports. */
  describeActive(): string {
    if (this.active.length === 0) return "none";
    return this.active.map(({ range, by }) => `${describeRange(range)} by ${by.name}`).join(", ");
  }
}

/** `unmap of 0x1000-0x2000 in mm 3`. */
export function describeRange({ mm, start, end, event }: MmuNotifierRange): string {
  return `${event} of 0x${start.toString(16)}-0x${end.toString(16)} in mm ${mm.id}`;
}
