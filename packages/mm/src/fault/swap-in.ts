// Faults on swap entries: the page comes from the swap cache if it is still in memory, otherwise from the swap
// device. A write to a page that is still shared is copied at once by write-protect.ts. Kernel counterpart:
// do_swap_page() in mm/memory.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { Pte, swapDevice, swapEntry } from "@hetmem/page-table";
import { VmEvent } from "@hetmem/zone";
import { Rss } from "../mm-struct.ts";
import { lockPage, unlockPage } from "../page-lock.ts";
import { pageSourceAt } from "../policy/policy-alloc.ts";
import { MAPPING_ANON } from "../rmap/anon-vma.ts";
import { pageAddAnonRmap, pageAnon } from "../rmap/map-counts.ts";
import { countMmEvent } from "../vm-events.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { FaultContext, Vma } from "../vma/vma.ts";
import { entrySame } from "./fault-context.ts";
import { FaultFlag, VmFault } from "./vm-fault.ts";
import { doWpPage } from "./write-protect.ts";

/**
 * Maps the page of a swap entry. The mmap lock is held for reading.
 *
 * @returns VmFault bits: MAJOR when the page was read from the device; OOM when there is no memory for it; 0 also
 *   when another task has changed the entry, and the access must be repeated. A write adds the result of doWpPage()
 *   if the page is shared
 * @see do_swap_page()
 */
export function* doSwapPage(fault: FaultContext): Sleeps<VmFault> {
  const { vma, origValue: slot, origFlags } = fault;
  const { vm } = vma.mm;
  const { memmap } = vm;
  const device = swapDevice(origFlags);
  let result: VmFault = 0;
  let page = vm.swap.cache.lookup(device, slot);
  if (page === NULL_PAGE) {
    page = yield* vm.swap.readPage(device, slot, pageSourceAt(vma, fault.address));
    if (page === NULL_PAGE) return entrySame(fault) ? VmFault.OOM : 0;
    result = VmFault.MAJOR;
    countMmEvent(vma.mm, VmEvent.pgmajfault);
  } else {
    memmap.getPage(page);
  }
  yield* lockPage(memmap, page);
  const refused = faultWithoutMapping(fault, page, swapEntry(device, slot));
  if (refused !== undefined) {
    unlockPage(memmap, page);
    memmap.putPage(page);
    return result | refused;
  }
  const flags = mapFromSwap(vma, fault.address, fault.entry, page, (fault.flags & FaultFlag.WRITE) !== 0);
  unlockPage(memmap, page);
  if ((fault.flags & FaultFlag.WRITE) === 0 || (flags & Pte.write) !== 0) return result;
  fault.origValue = page;
  fault.origFlags = flags;
  return result | (yield* doWpPage(fault));
}

/**
 * Replaces a swap entry by its page, which is locked. The caller's reference becomes the entry's, and the entry's
 * reference on the slot is dropped.
 *
 * @param write whether a write follows: the entry becomes writable if the page is exclusive to this process
 * @returns the flags of the entry
 */
export function mapFromSwap(vma: Vma, address: VirtAddr, entry: number, page: Page, write: boolean): number {
  const { mm } = vma;
  const { pageTable, vm } = mm;
  const { memmap, swap } = vm;
  const slot = pageTable.value(entry);
  const swapped = pageTable.flags(entry);
  swap.free(swapDevice(swapped), slot);
  if (shouldFreeSwap(vma, page, write)) swap.freeSwap(page);
  mm.rss[Rss.anon] = (mm.rss[Rss.anon] as number) + 1;
  mm.rss[Rss.swapEntries] = (mm.rss[Rss.swapEntries] as number) - 1;
  // Exclusive: the swap entry was marked so, or the caller holds the only reference to the page.
  const exclusive = (swapped & Pte.exclusive) !== 0 || memmap.refcount(page) === 1;
  let flags = Pte.present | Pte.accessed | (swapped & Pte.softDirty);
  if (exclusive && write)
    flags |= Pte.dirty | Pte.softDirty | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0);
  addRmap(vma, address, page, exclusive);
  pageTable.set(entry, page, flags);
  return flags;
}

/** The result of a fault whose page can't be mapped after all; undefined when it can. */
function faultWithoutMapping(fault: FaultContext, page: Page, entry: number): VmFault | undefined {
  const { memmap } = fault.vma.mm.vm;
  if (!memmap.test(page, PageFlag.swapcache) || memmap.private(page) !== entry || !entrySame(fault)) return 0;
  if (memmap.test(page, PageFlag.hwpoison)) return VmFault.HWPOISON;
  return memmap.test(page, PageFlag.uptodate) ? undefined : VmFault.SIGBUS;
}

/** Whether to give the swap slot back now that the page is in memory. @see should_try_to_free_swap() */
function shouldFreeSwap(vma: Vma, page: Page, write: boolean): boolean {
  const { memmap, swap } = vma.mm.vm;
  if (!memmap.test(page, PageFlag.swapcache)) return false;
  if (swap.full || (vma.flags & VmFlag.LOCKED) !== 0 || memmap.test(page, PageFlag.mlocked)) return true;
  // Two references, of the swap cache and of this fault: without the cache the page can be reused for the write.
  return write && memmap.refcount(page) === 2;
}

/**
 * Adds the reverse mapping. A page just read has none yet. If other swap entries may name its slot, its anon_vma must
 * be the root, from which all of them are found.
 *
 * @see __page_set_anon_rmap()
 */
function addRmap(vma: Vma, address: VirtAddr, page: Page, exclusive: boolean): void {
  const { vm } = vma.mm;
  const fresh = !pageAnon(vm, page);
  pageAddAnonRmap(vm, page, vma, address);
  if (exclusive) vm.memmap.set(page, PageFlag.anonExclusive);
  else if (fresh && vma.anonVma) vm.memmap.setMapping(page, (vma.anonVma.root.id << 1) | MAPPING_ANON);
}
