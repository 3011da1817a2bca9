// Empties the entries of a mapping of huge pages, each of which goes whole: ranges begin and end with a huge page. Kernel
// counterpart: __unmap_hugepage_range() in mm/hugetlb.c.
import { condResched, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { hugePmd } from "../huge/split-pmd.ts";
import { NO_ENTRY, PMD_SIZE } from "../page-table/page-table.ts";
import type { Vma } from "../vma/vma.ts";
import { unmapHugetlbPage } from "./hugetlb-page.ts";

/** The caller has announced [start, end). */
export function* zapHugetlbRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { pageTable } = vma.mm;
  for (let at = pageTable.nextPopulated(start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const pmd = hugePmd(pageTable, at);
    if (pmd !== NO_ENTRY) unmapHugetlbPage(vma, pmd);
    at = (at + PMD_SIZE) as VirtAddr;
    yield condResched;
  }
}
