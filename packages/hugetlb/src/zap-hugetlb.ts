// Unmapping of huge pages of the pool, for munmap(2), exit and truncation. Ranges begin and end at a huge page, so that
// no entry is split.
// Kernel counterpart: __unmap_hugepage_range() in mm/hugetlb.c.
import { condResched, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { hugePmd } from "@hetmem/mm/huge";
import { NO_ENTRY, PMD_SIZE } from "@hetmem/page-table";
import { unmapHugetlbPage } from "./hugetlb-page.ts";

/**
 * Clears the entries in [start, end). The caller has begun an invalidation of the range.
 *
 * @see __unmap_hugepage_range()
 */
export function* zapHugetlbRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { pageTable } = vma.mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const pmd = hugePmd(pageTable, at);
    if (pmd !== NO_ENTRY) unmapHugetlbPage(vma, pmd);
    at = (at + PMD_SIZE) as VirtAddr;
    yield condResched;
  }
}
