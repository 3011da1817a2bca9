// Advice that memory won't be used soon. MADV_COLD deactivates the pages, so that reclaim takes them next.
// MADV_PAGEOUT reclaims them at once. Pages with other mappings are left alone. Kernel counterpart:
// madvise_cold_or_pageout_pte_range() in mm/madvise.c.
import { condResched, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vm, type Vma, VmFlag } from "@hetmem/mm";
import { pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { splitAdvised } from "./split-advised.ts";

/**
 * Deactivates the pages of a part of a mapping. The mmap lock is held for reading.
 *
 * @throws KernelError EINVAL for a mapping of a device or of the hugetlb pool, or a locked one
 * @see madvise_cold()
 */
export function* madviseCold(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { vm } = vma.mm;
  for (const region of regions(vma, start, end)) {
    yield* splitAdvised(vma, region, regionEnd(region, end));
    for (const page of clearAccessed(vma, region, end)) vm.lru.deactivate(page);
    yield condResched;
  }
}

/**
 * Reclaims the pages of a part of a mapping. The mmap lock is held for reading.
 *
 * @throws KernelError EINVAL for a mapping of a device or of the hugetlb pool, or a locked one
 * @see madvise_pageout()
 */
export function* madvisePageout(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { vm } = vma.mm;
  for (const region of regions(vma, start, end)) {
    yield* splitAdvised(vma, region, regionEnd(region, end));
    const pages = clearAccessed(vma, region, end).filter((page) => isolate(vm, page));
    if (pages.length > 0) yield* vm.reclaim.reclaimPages(pages);
    yield condResched;
  }
}

/** The first address of the range in each populated 2 MiB. */
function* regions(vma: Vma, start: VirtAddr, end: VirtAddr): Generator<VirtAddr, void, void> {
  if ((vma.flags & (VmFlag.LOCKED | VmFlag.PFNMAP | VmFlag.HUGETLB)) !== 0)
    throw new KernelError("EINVAL", `${describeVma(vma)} has no pages that could be reclaimed`);
  const { pageTable } = vma.mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    yield at;
    at = (at - (at % PMD_SIZE) + PMD_SIZE) as VirtAddr;
  }
}

/** Clears the accessed bits of one 2 MiB. @returns the pages that no other mapping maps */
function clearAccessed(vma: Vma, start: VirtAddr, limit: VirtAddr): Page[] {
  const { pageTable, vm } = vma.mm;
  const end = regionEnd(start, limit);
  const pmd = pageTable.findPmd(start);
  const table = pageTable.tableUnder(pmd);
  const huge = table === NO_ENTRY;
  // A huge page that could not be split is taken only if the range covers it.
  if (huge && end - start !== PMD_SIZE) return [];
  const first = huge ? pmd : table + (start % PMD_SIZE) / 4096;
  const last = huge ? pmd + 1 : first + (end - start) / 4096;
  const pages: Page[] = [];
  for (let entry = first; entry < last; entry++) {
    const flags = pageTable.flags(entry);
    if ((flags & (Pte.present | Pte.special | Pte.devmap)) !== Pte.present) continue;
    const page = entryPage(pageTable.value(entry));
    if (!isMappedOnce(vm, page)) continue;
    if (!huge && vm.memmap.compoundOrder(page) !== 0) continue;
    if ((flags & Pte.accessed) !== 0) pageTable.setFlags(entry, flags & ~Pte.accessed);
    vm.memmap.clear(page, PageFlag.referenced | PageFlag.young);
    pages.push(page);
  }
  return pages;
}

/** Whether the page is on an LRU list and this is its only mapping. */
function isMappedOnce({ memmap }: Vm, page: Page): boolean {
  if (memmap.zoneOf(page) === ZoneType.Device || !memmap.test(page, PageFlag.lru)) return false;
  return pageMapcount(memmap, page) === 1;
}

/** End of the 2 MiB that holds an address, or the end of the range if that is lower. */
function regionEnd(start: VirtAddr, limit: VirtAddr): VirtAddr {
  return Math.min(limit, start - (start % PMD_SIZE) + PMD_SIZE) as VirtAddr;
}

function isolate({ lru, memmap }: Vm, page: Page): boolean {
  return !memmap.test(page, PageFlag.unevictable) && lru.isolate(page);
}
