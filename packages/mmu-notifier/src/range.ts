// A range of addresses that is about to change, and why. Kernel counterpart: struct mmu_notifier_range and enum
// mmu_notifier_event in include/linux/mmu_notifier.h.
import type { VirtAddr } from "@hetmem/kernel";
import type { NotifiedMm } from "./notified-mm.ts";

/** @see enum mmu_notifier_event */
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

/** One object from start to end: who ends a range passes what he began. */
export interface MmuNotifierRange {
  readonly mm: NotifiedMm;
  readonly start: VirtAddr;
  /** First byte behind it. */
  readonly end: VirtAddr;
  readonly event: MmuNotifyEvent;
  /** Of a migration or an exclusive access: the device that it is for, which need not hear of its own doing. */
  readonly owner?: unknown;
  /** False while listeners are asked by somebody who can't sleep. @see MMU_NOTIFIER_RANGE_BLOCKABLE */
  readonly blockable?: false;
}

/** Whether a listener may sleep. One that would have to, and must not, answers false. @see mmu_notifier_range_blockable() */
export function mmuNotifierRangeBlockable(range: MmuNotifierRange): boolean {
  return range.blockable !== false;
}

/**
 * Whether a device hears of what it asked for itself: a migration into or out of its memory, or an exclusive access. It
 * has nothing to let go of then.
 *
 * @see dmirror_interval_invalidate() in lib/test_hmm.c
 */
export function isOwnDoing(range: MmuNotifierRange, owner: unknown): boolean {
  const { event } = range;
  if (owner === undefined || range.owner !== owner) return false;
  return event === MmuNotifyEvent.Migrate || event === MmuNotifyEvent.Exclusive;
}
