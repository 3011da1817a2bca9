// Mapcount, owner and contents of a page of the pool. Such a page isn't counted in the statistics of its node, nor in
// the resident set of a process: the address space has a counter of its own for it. Kernel counterpart:
// hugepage_add_new_anon_rmap() in mm/rmap.c, hugetlb_count_add() in include/linux/hugetlb.h.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vm, type Vma } from "@hetmem/mm";
import { compoundMapcount, HPAGE_PMD_NR, setCompoundMapcount } from "@hetmem/mm/huge";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { vmaPageProt } from "@hetmem/mm/vma";
import { describePage, PageFlag } from "@hetmem/page";
import { entryPage, Pte } from "@hetmem/page-table";

/** Flags of an entry after a write. */
export const WRITTEN: number = Pte.write | Pte.dirty | Pte.softDirty;

/** Clears a huge page, so that it reads as zeros. @see clear_huge_page() */
export function clearHugePage({ memmap: { contents } }: Vm, head: Page): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) contents.clear((head + i) as Page);
}

/** Copies the contents of a huge page. @see copy_user_huge_page() */
export function copyHugePage({ memmap: { contents } }: Vm, to: Page, from: Page): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) contents.copy((to + i) as Page, (from + i) as Page);
}

/**
 * Makes a new page an exclusive anonymous page of a mapping, which must have an anon_vma.
 *
 * @param address address of the page in the mapping
 * @throws KernelBug without an anon_vma
 * @see hugepage_add_new_anon_rmap()
 */
export function ownHugetlbPage({ memmap }: Vm, head: Page, vma: Vma, address: VirtAddr): void {
  if (!vma.anonVma) throw new KernelBug(`${describeVma(vma)} has no anon_vma to own a huge page`);
  memmap.setMapping(head, (vma.anonVma.id << 1) | MAPPING_ANON);
  memmap.setIndex(head, vma.pgoffOf(address) | 0);
  memmap.set(head, PageFlag.uptodate | PageFlag.anonExclusive);
}

/**
 * Maps a page in an empty entry. The caller's reference becomes the entry's.
 *
 * @param pmd number of the entry
 * @param bits Pte flags in addition to those of the mapping
 * @see make_huge_pte()
 */
export function mapHugetlbPage(vma: Vma, pmd: number, head: Page, bits: number): void {
  const { mm } = vma;
  const prot = vmaPageProt(vma);
  const written = (prot & Pte.write) !== 0 ? WRITTEN : 0;
  mm.pageTable.set(pmd, head, Pte.present | Pte.huge | Pte.accessed | prot | written | bits);
  countMapped(vma, head, 1);
}

/** Clears an entry, and drops its reference to the page. @see __unmap_hugepage_range() */
export function unmapHugetlbPage(vma: Vma, pmd: number): void {
  const { pageTable, vm } = vma.mm;
  const head = entryPage(pageTable.value(pmd));
  if ((pageTable.flags(pmd) & Pte.dirty) !== 0) vm.memmap.set(head, PageFlag.dirty);
  pageTable.clear(pmd);
  countMapped(vma, head, -1);
  vm.memmap.putPage(head);
}

function countMapped({ mm }: Vma, head: Page, by: 1 | -1): void {
  const { memmap } = mm.vm;
  const count = compoundMapcount(memmap, head) + by;
  if (count < 0) throw new KernelBug(`an entry ends to map what none mapped: ${describePage(memmap, head)}`);
  setCompoundMapcount(memmap, head, count);
  mm.hugetlbPages += by * HPAGE_PMD_NR;
}
