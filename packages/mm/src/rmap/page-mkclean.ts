// Write-protecting the mappings of a file's page before writeback, so that the next write faults and marks the page
// dirty again. Notifiers are called, since a device's mapping must lose its write access, too. Kernel counterpart:
// folio_mkclean() in mm/rmap.c.
import { bugOn, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { PageFlag } from "@hetmem/page";
import { NO_ENTRY, Pte } from "@hetmem/page-table";
import type { Vm } from "../vm.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { presentEntry } from "./mapped-entry.ts";
import { rmapWalk } from "./rmap-walk.ts";

/**
 * Write-protects and cleans the entries of a locked page in all shared mappings. Private mappings have copies of what
 * they wrote.
 *
 * @returns number of entries that were writable or dirty
 * @see folio_mkclean()
 */
export function* pageMkclean(vm: Vm, page: Page): Sleeps<number> {
  bugOn(!vm.memmap.test(page, PageFlag.locked), `page ${page} is cleaned without its lock`);
  let cleaned = 0;
  if (vm.memmap.mapcount(page) === 0) return cleaned;
  yield* rmapWalk(vm, page, function* (vma, address) {
    if ((vma.flags & VmFlag.SHARED) !== 0 && (yield* mkcleanOne(vma, address, page))) cleaned++;
    return true;
  });
  return cleaned;
}

/** @see page_mkclean_one() */
function* mkcleanOne(vma: Vma, address: VirtAddr, page: Page): Sleeps<boolean> {
  const { mm } = vma;
  const end = (address + 4096) as VirtAddr;
  const range: MmuNotifierRange = { mm, start: address, end, event: MmuNotifyEvent.ProtectionPage };
  yield* invalidateRangeStart(range);
  const entry = presentEntry(mm.pageTable, address, page);
  const flags = entry === NO_ENTRY ? 0 : mm.pageTable.flags(entry);
  const writes = (flags & (Pte.write | Pte.dirty)) !== 0;
  if (writes) mm.pageTable.setFlags(entry, flags & ~(Pte.write | Pte.dirty));
  yield* invalidateRangeEnd(range);
  return writes;
}
