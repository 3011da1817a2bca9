// mincore(): which pages of a range are in memory, either mapped or up to date in the page cache or the swap cache.
// The range is examined in steps of 4096 pages, between which it may change, so the answer may be outdated. Kernel
// counterpart: mm/mincore.c.
import {
  condResched,
  isAligned,
  KernelError,
  type Page,
  PAGE_SIZE,
  type Sleeps,
  type VirtAddr,
} from "@hetmem/kernel";
import { entryValue, isValue } from "@hetmem/kernel/lib";
import type { MmStruct, Vm, Vma } from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import {
  deviceOfEntry,
  EntryKind,
  entryKind,
  isSwapinError,
  NO_ENTRY,
  Pte,
  slotOfEntry,
  swapDevice,
  TASK_SIZE,
} from "@hetmem/page-table";

const CHUNK_PAGES = 4096;

/**
 * Tells for each page of a range whether it is in memory.
 *
 * @param length bytes; the last page counts whole
 * @returns a byte a page, 1 or 0, as of the moment at which the page was examined
 * @throws KernelError EINVAL for a start inside a page, ENOMEM where nothing is mapped
 * @see mincore(2)
 */
export function* mincore(mm: MmStruct, start: VirtAddr, length: number): Sleeps<Uint8Array> {
  if (!isAligned(start, PAGE_SIZE))
    throw new KernelError("EINVAL", `0x${start.toString(16)} is not the address of a page`);
  if (start + length > TASK_SIZE)
    throw new KernelError("ENOMEM", `0x${length.toString(16)} bytes reach past the end of the address space`);
  const resident = new Uint8Array(Math.ceil(length / PAGE_SIZE));
  for (let done = 0; done < resident.length;) {
    yield* mm.mmapLock.downRead();
    try {
      const address = (start + done * PAGE_SIZE) as VirtAddr;
      const vma = mm.vmas.at(address);
      if (!vma) throw new KernelError("ENOMEM", `nothing is mapped at 0x${address.toString(16)}`);
      const pages = Math.min((vma.end - address) / PAGE_SIZE, resident.length - done, CHUNK_PAGES);
      fillResident(vma, address, resident.subarray(done, done + pages));
      done += pages;
    } finally {
      mm.mmapLock.upRead();
    }
    yield condResched;
  }
  return resident;
}

function fillResident(vma: Vma, start: VirtAddr, into: Uint8Array): void {
  for (let i = 0; i < into.length; i++)
    into[i] = isResident(vma, (start + i * PAGE_SIZE) as VirtAddr) ? 1 : 0;
}

/** @see mincore_pte_range() */
function isResident(vma: Vma, address: VirtAddr): boolean {
  const { pageTable, vm } = vma.mm;
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY) {
    const pmd = pageTable.findPmd(address);
    return pmd !== NO_ENTRY && pageTable.flags(pmd) !== 0 ? true : inPageCache(vma, address);
  }
  const flags = pageTable.flags(entry);
  if ((flags & Pte.present) !== 0) return true;
  const kind = entryKind(flags);
  if (kind === EntryKind.none) return inPageCache(vma, address);
  // Migration entries, pages of devices and poisoned pages count as resident: no I/O is needed for them.
  if (kind !== EntryKind.swap) return true;
  return isReady(vm, vm.swap.cache.lookup(swapDevice(flags), pageTable.value(entry)));
}

/** @see find_get_incore_page() */
function inPageCache(vma: Vma, address: VirtAddr): boolean {
  const mapping = vma.file?.mapping;
  if (!mapping) return false;
  const { vm } = mapping;
  const found = mapping.pages.load(vma.pgoffOf(address));
  if (!isValue(found)) return isReady(vm, found as Page);
  // A value in the place of the page is a swap slot in shmem, and a shadow entry of an evicted page in any other
  // file.
  if (mapping.canWriteback) return false;
  const word = entryValue(found);
  if (isSwapinError(word)) return false;
  return isReady(vm, vm.swap.cache.lookup(deviceOfEntry(word), slotOfEntry(word)));
}

function isReady({ memmap }: Vm, page: Page): boolean {
  return page > 0 && memmap.test(page, PageFlag.uptodate);
}
