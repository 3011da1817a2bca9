// A range of addresses that is about to change, and the reason for the change. Each invalidation has one; callbacks of
// notifiers get it, and decide by the reason and the owner. Kernel counterpart: struct mmu_notifier_range and enum
// mmu_notifier_event in include/linux/mmu_notifier.h.
import type { VirtAddr } from "@hetmem/kernel";
import type { NotifiedMm } from "./notified-mm.ts";

/** Reason of a change. @see enum mmu_notifier_event */
export const MmuNotifyEvent = {
  Unmap: "unmap",
  Clear: "clear",
  ProtectionVma: "protection_vma",
  ProtectionPage: "protection_page",
  SoftDirty: "soft_dirty",
  Release: "release",
  Migrate: "migrate",
  Exclusive: "exclusive",
} as const;
export type MmuNotifyEvent = (typeof MmuNotifyEvent)[keyof typeof MmuNotifyEvent];

/** One change: invalidateRangeStart() and invalidateRangeEnd() get the same object. */
export interface MmuNotifierRange {
  readonly mm: NotifiedMm;
  readonly start: VirtAddr;
  /** First address behind the range. */
  readonly end: VirtAddr;
  readonly event: MmuNotifyEvent;
  /** Device driver on whose behalf pages migrate or exclusive access is made. Its own notifier may skip the event. */
  readonly owner?: unknown;
  /** False if the callbacks must not sleep. @see MMU_NOTIFIER_RANGE_BLOCKABLE */
  readonly blockable?: false;
}

/**
 * Whether a callback may sleep. A callback that must not, and would have to, returns false.
 *
 * @see mmu_notifier_range_blockable()
 */
export function mmuNotifierRangeBlockable(range: MmuNotifierRange): boolean {
  return range.blockable !== false;
}

/**
 * Whether the change was asked for by a given driver itself: a migration to or from its memory, or exclusive access.
 * The driver has nothing to invalidate then.
 *
 * @param owner the driver, as in `range.owner`
 * @see dmirror_interval_invalidate() in lib/test_hmm.c
 */
export function isOwnDoing(range: MmuNotifierRange, owner: unknown): boolean {
  const { event } = range;
  if (owner === undefined || range.owner !== owner) return false;
  return event === MmuNotifyEvent.Migrate || event === MmuNotifyEvent.Exclusive;
}
