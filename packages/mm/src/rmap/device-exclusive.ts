// Memory of ours that a device uses alone for a while, for atomic operations: the first touch by a cpu brings its entries
// back, after the device was told. Kernel counterpart: restore_exclusive_pte() in mm/memory.c.
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
 * The cpu touches what a device has for itself: the device is told, and the entry maps the page again.
 *
 * @see remove_device_exclusive_entry()
 */
export function* removeDeviceExclusiveEntry(fault: FaultContext): Sleeps<VmFault> {
  const { vma, address, entry } = fault;
  const { mm } = vma;
  const { memmap } = mm.vm;
  const page = memmap.compoundHead(entryPage(fault.origValue));
  // Without a reference it may go while its lock is waited for. One that is free has lost the entry.
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
 * The same for fork, which can't wait: the page's lock must be free, and who is about to copy has told the notifiers.
 *
 * @returns false when the device's driver still holds the page: EBUSY
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

/** The entry maps its page again, whose lock is held. @throws KernelBug when others could see what is written @see restore_exclusive_pte() */
export function restoreExclusivePte(vma: Vma, entry: number): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const page = entryPage(pageTable.value(entry));
  const had = pageTable.flags(entry);
  const writes = entryKind(had) === EntryKind.deviceExclusiveWrite && (vma.flags & VmFlag.WRITE) !== 0;
  if (writes && !memmap.test(page, PageFlag.anonExclusive))
    throw new KernelBug(`a device had it alone, and others have it too: ${describePage(memmap, page)}`);
  const dirty = entryKind(had) === EntryKind.deviceExclusiveWrite ? Pte.dirty : 0;
  pageTable.set(entry, page, presentAfterMigration(vma, writes, (had & Pte.softDirty) | dirty));
  // Its reference has been with the entry all the time.
  pageAddAnonRmap(vm, page, vma, pageTable.addressOf(entry));
}
