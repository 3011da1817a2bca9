// What a page of the pool knows of who maps it: how often, and whose it is. No counter of the machine has it, and it is
// resident for nobody; the address space counts it apart. Kernel counterpart: hugepage_add_new_anon_rmap() in mm/rmap.c,
// hugetlb_count_add() in include/linux/hugetlb.h.
import { KernelBug, type Page, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vm, type Vma } from "@hetmem/mm";
import { compoundMapcount, HPAGE_PMD_NR, setCompoundMapcount } from "@hetmem/mm/huge";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { vmaPageProt } from "@hetmem/mm/vma";
import { describePage, PageFlag } from "@hetmem/page";
import { entryPage, Pte } from "@hetmem/page-table";

/** What an entry has that may be written at once. */
export const WRITTEN: number = Pte.write | Pte.dirty | Pte.softDirty;

/** It reads as zeros. @see clear_huge_page() */
export function clearHugePage({ memmap: { contents } }: Vm, head: Page): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) contents.clear((head + i) as Page);
}

/** @see copy_user_huge_page() */
export function copyHugePage({ memmap: { contents } }: Vm, to: Page, from: Page): void {
  for (let i = 0; i < HPAGE_PMD_NR; i++) contents.copy((to + i) as Page, (from + i) as Page);
}

/** A new page that is this mapping's alone. Its mapping must have an anon_vma. @see hugepage_add_new_anon_rmap() */
export function ownHugetlbPage({ memmap }: Vm, head: Page, vma: Vma, address: VirtAddr): void {
  if (!vma.anonVma) throw new KernelBug(`${describeVma(vma)} has no anon_vma to own a huge page`);
  memmap.setMapping(head, (vma.anonVma.id << 1) | MAPPING_ANON);
  memmap.setIndex(head, vma.pgoffOf(address) | 0);
  memmap.set(head, PageFlag.uptodate | PageFlag.anonExclusive);
}

/** An empty entry maps a page, for the caller's reference. @param bits Pte bits beyond what the mapping's pages get */
export function mapHugetlbPage(vma: Vma, pmd: number, head: Page, bits: number): void {
  const { mm } = vma;
  const prot = vmaPageProt(vma);
  const written = (prot & Pte.write) !== 0 ? WRITTEN : 0;
  mm.pageTable.set(pmd, head, Pte.present | Pte.huge | Pte.accessed | prot | written | bits);
  countMapped(vma, head, 1);
}

/** An entry no longer maps a page, and has a reference less. @see __unmap_hugepage_range() */
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
