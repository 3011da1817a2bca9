// Whether a device has used a page since somebody looked: its own tables have accessed bits too, and reclaim asks for
// them where it looks at the cpu's. Kernel counterpart: mmu_notifier_clear_flush_young() and its kin in mm/mmu_notifier.c.
import type { VirtAddr } from "@hetmem/kernel";
import type { NotifiedMm } from "./notified-mm.ts";

/** Asks all notifiers whether the range was used, and lets them and their TLBs forget. Atomic. @see mmu_notifier_clear_flush_young() */
export function mmuNotifierClearFlushYoung(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  let young = false;
  for (const notifier of notifiers.list)
    if (notifier.ops.clearFlushYoung?.(notifier, mm, start, end) === true) young = true;
  return young;
}

/** The same, where TLBs may remember. @see mmu_notifier_clear_young() */
export function mmuNotifierClearYoung(mm: NotifiedMm, start: VirtAddr, end: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  let young = false;
  for (const notifier of notifiers.list)
    if (notifier.ops.clearYoung?.(notifier, mm, start, end) === true) young = true;
  return young;
}

/** Asks until one says yes; nobody forgets. @see mmu_notifier_test_young() */
export function mmuNotifierTestYoung(mm: NotifiedMm, address: VirtAddr): boolean {
  const { notifiers } = mm;
  if (notifiers === undefined) return false;
  return notifiers.list.some((notifier) => notifier.ops.testYoung?.(notifier, mm, address) === true);
}
