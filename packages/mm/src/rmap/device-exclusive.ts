// The end of a device's exclusive access to system memory: the first CPU access to a device-exclusive entry notifies
// the driver and restores the entry. fork() restores entries, too. Kernel counterparts:
// remove_device_exclusive_entry(), restore_exclusive_pte() and try_restore_exclusive_pte() in mm/memory.c.
import { KernelBug, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { describePage, PageFlag } from "@hetmem/page";
import { EntryKind, entryKind, entryPage, Pte } from "@hetmem/page-table";
import { entrySame } from "../fault/fault-context.ts";
import type { VmFault } from "../fault/vm-fault.ts";
import { lockPage, trylockPage, unlockPage } from "../page-lock.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { FaultContext, Vma } from "../vma/vma.ts";
import { pageAddAnonRmap } from "./map-counts.ts";
import { presentAfterMigration } from "./remove-migration-ptes.ts";

/**
 * Handles a CPU access to a device-exclusive page: notifies the driver and restores the entry.
 *
 * @see remove_device_exclusive_entry()
 */
export function* removeDeviceExclusiveEntry(fault: FaultContext): Sleeps<VmFault> {
  const { vma, address, entry } = fault;
  const { mm } = vma;
  const { memmap } = mm.vm;
  const page = memmap.compoundHead(entryPage(fault.origValue));
  // Without a reference the page could be freed while its lock is waited for. A free page has lost its entry.
  if (!memmap.getPageUnlessZero(page)) return 0;
  yield* lockPage(memmap, page);
  const end = (address + 4096) as VirtAddr;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.Exclusive };
  yield* invalidateRangeStart(range);
  if (entrySame(fault)) restoreExclusivePte(vma, entry);
  unlockPage(memmap, page);
  memmap.putPage(page);
  yield* invalidateRangeEnd(range);
  return 0;
}

/**
 * Restores an entry for fork, without sleeping. The caller has notified the range.
 *
 * @returns false when the driver still has the page locked: EBUSY
 * @see try_restore_exclusive_pte()
 */
export function tryRestoreExclusivePte(vma: Vma, entry: number): boolean {
  const { memmap } = vma.mm.vm;
  const page = memmap.compoundHead(entryPage(vma.mm.pageTable.value(entry)));
  if (!trylockPage(memmap, page)) return false;
  restoreExclusivePte(vma, entry);
  unlockPage(memmap, page);
  return true;
}

/**
 * Restores an entry. Its page is locked.
 *
 * @throws KernelBug when a writable entry's page isn't exclusive to the process
 * @see restore_exclusive_pte()
 */
function restoreExclusivePte(vma: Vma, entry: number): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const page = entryPage(pageTable.value(entry));
  const had = pageTable.flags(entry);
  const writes = entryKind(had) === EntryKind.deviceExclusiveWrite && (vma.flags & VmFlag.WRITE) !== 0;
  if (writes && !memmap.test(page, PageFlag.anonExclusive))
    throw new KernelBug(`a device had it alone, and others have it too: ${describePage(memmap, page)}`);
  const dirty = entryKind(had) === EntryKind.deviceExclusiveWrite ? Pte.dirty : 0;
  pageTable.set(entry, page, presentAfterMigration(vma, writes, (had & Pte.softDirty) | dirty));
  // The device-exclusive entry has kept its reference on the page.
  pageAddAnonRmap(vm, page, vma, pageTable.addressOf(entry));
}
