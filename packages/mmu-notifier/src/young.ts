// Accessed bits of devices: a device that mirrors a page has accessed bits in its own tables, and reclaim must ask for
// them when it asks for the CPU's. Kernel counterpart: mmu_notifier_clear_flush_young() and its kin in
// mm/mmu_notifier.c.
import type { VirtAddr } from "@hetmem/kernel";
import type { NotifiedMm } from "./notified-mm.ts";

/**
 * Whether a device has accessed the range since its accessed bits were last cleared. Clears them in all mirrors and
 * flushes the devices' TLBs. Atomic.
 *
 * @param start first address, in bytes
 * @param end first address behind the range
 * @see mmu_notifier_clear_flush_young()
 */
export function mmuNotifierClearFlushYoung(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  let young = false;
  for (const notifier of notifiers.list)
    if (notifier.ops.clearFlushYoung?.(notifier, mm, start, end) === true) young = true;
  return young;
}

/** Does the same as mmuNotifierClearFlushYoung(), without the flush of TLBs. @see mmu_notifier_clear_young() */
export function mmuNotifierClearYoung(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  let young = false;
  for (const notifier of notifiers.list)
    if (notifier.ops.clearYoung?.(notifier, mm, start, end) === true) young = true;
  return young;
}

/**
 * Whether a device has accessed a page since its accessed bit was last cleared. Stops at the first device that has, and
 * clears nothing. Atomic.
 *
 * @see mmu_notifier_test_young()
 */
export function mmuNotifierTestYoung(mm: NotifiedMm, address: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  return notifiers.list.some((notifier) => notifier.ops.testYoung?.(notifier, mm, address) === true);
}
