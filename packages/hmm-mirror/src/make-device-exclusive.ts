// Exclusive access of a device to system memory, for atomic operations: device-exclusive entries replace the CPU's
// entries of a page. A device-exclusive entry keeps its reference on the page, but not its mapcount. Kernel
// counterpart: make_device_exclusive_range() in mm/rmap.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { mmapAssertLocked, type MmStruct, trylockPage, unlockPage, type Vma } from "@hetmem/mm";
import { Foll, grabUserPages } from "@hetmem/mm/faultin";
import { setPageDirty } from "@hetmem/mm/file";
import { mappedEntry, MAPPING_ANON, pageRemoveRmap, rmapWalk } from "@hetmem/mm/rmap";
import { munlockVmaPage } from "@hetmem/mm/vma";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { EntryKind, NO_ENTRY, Pte } from "@hetmem/page-table";

/** The address that must become exclusive, and whether it has. @see struct make_exclusive_args */
interface Wanted {
  readonly mm: MmStruct;
  readonly address: VirtAddr;
  /** The owner passed to notifiers, by which the driver recognises its own operation. */
  readonly owner: unknown;
  valid: boolean;
}

/**
 * Gives a device exclusive access to pages of a process. The mmap lock is held for reading. The driver holds its own
 * lock against invalidation, programs the device, then unlocks and puts each page. From then on a CPU access takes
 * the page back.
 *
 * @param owner passed to notifiers, so that the driver can skip its own operation
 * @returns the pages in order, locked and referenced, up to the first that can't be faulted in; NULL_PAGE for a page
 *   that isn't anonymous or is busy
 * @throws KernelError EFAULT, ENOMEM or EHWPOISON when the first page can't be faulted in
 * @throws KernelBug without the mmap lock
 * @see make_device_exclusive_range()
 */
export function* makeDeviceExclusiveRange(
  mm: MmStruct,
  start: VirtAddr,
  end: VirtAddr,
  owner: unknown,
): Sleeps<Page[]> {
  mmapAssertLocked(mm, "gives pages to a device alone");
  const foll = Foll.REMOTE | Foll.WRITE | Foll.SPLIT_PMD;
  const pages = yield* grabUserPages(mm, start, (end - start) / 4096, foll);
  for (const [i, page] of pages.entries()) {
    const address = (start + i * 4096) as VirtAddr;
    if (!(yield* makeExclusive({ mm, address, owner, valid: false }, page))) pages[i] = NULL_PAGE as Page;
  }
  return pages;
}

/** Replaces all entries of a page. @returns whether the device has the page; otherwise the reference is dropped */
function* makeExclusive(wanted: Wanted, page: Page): Sleeps<boolean> {
  const { vm } = wanted.mm;
  const { memmap } = vm;
  if (memmap.test(page, PageFlag.tail) || !trylockPage(memmap, page)) {
    memmap.putPage(memmap.compoundHead(page));
    return false;
  }
  // A device's writes to a file's page wouldn't be seen by writeback, so only anonymous pages are eligible.
  if ((memmap.mapping(page) & MAPPING_ANON) !== 0) {
    yield* rmapWalk(vm, page, function* (vma, address) {
      return (yield* makeExclusiveOne(wanted, vma, address, page)) && memmap.mapcount(page) > 0;
    });
    if (wanted.valid && memmap.mapcount(page) === 0) return true;
  }
  unlockPage(memmap, page);
  memmap.putPage(page);
  return false;
}

/**
 * Replaces one entry of a page.
 *
 * @returns whether to continue the walk
 * @see page_make_device_exclusive_one()
 */
function* makeExclusiveOne(wanted: Wanted, vma: Vma, address: VirtAddr, page: Page): Sleeps<boolean> {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const end = Math.min(vma.end, address + 4096) as VirtAddr;
  const range: MmuNotifierRange = {
    mm,
    start: address,
    end,
    event: MmuNotifyEvent.Exclusive,
    owner: wanted.owner,
  };
  yield* invalidateRangeStart(range);
  const entry = mappedEntry(pageTable, address, page);
  const present = entry === NO_ENTRY || (pageTable.flags(entry) & Pte.present) !== 0;
  if (entry !== NO_ENTRY && present) {
    const flags = pageTable.flags(entry);
    const writes = (flags & Pte.write) !== 0;
    if ((flags & Pte.dirty) !== 0) setPageDirty(vm, page);
    if (mm === wanted.mm && address === wanted.address && writes) wanted.valid = true;
    const kind = writes ? EntryKind.deviceExclusiveWrite : EntryKind.deviceExclusiveRead;
    pageTable.set(entry, page, kind | (flags & Pte.softDirty));
    // The device-exclusive entry keeps the reference.
    pageRemoveRmap(vm, page);
    munlockVmaPage(page, vma);
  }
  yield* invalidateRangeEnd(range);
  return present;
}
