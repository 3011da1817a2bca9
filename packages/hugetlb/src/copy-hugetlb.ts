// Huge pages of the pool at fork. Parent and child map the same pages, both without write access. A pinned page is
// copied at once, to an unreserved page of the pool: a child has no reservation. Kernel counterpart:
// copy_hugetlb_page_range() in mm/hugetlb.c.
import { condResched, KernelError, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { Vma } from "@hetmem/mm";
import { pageMaybeDmaPinned } from "@hetmem/mm/faultin";
import { hugePmd } from "@hetmem/mm/huge";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";
import { ensureHugetlbPmd } from "./hugetlb-fault.ts";
import { copyHugePage, mapHugetlbPage, ownHugetlbPage, WRITTEN } from "./hugetlb-page.ts";
import { allocHugetlbPage, keepPage } from "./reservations.ts";

/**
 * Copies the entries of a private mapping to the child's copy of it. The caller has begun an invalidation of the range,
 * and holds the parent's mmap lock for writing.
 *
 * @param to the child's VMA
 * @param from the parent's VMA
 * @throws KernelError ENOMEM if there is no memory for the child's page tables, or the pool has no page for a copy
 * @see copy_hugetlb_page_range()
 */
export function* copyHugetlbRange(to: Vma, from: Vma): Sleeps<void> {
  const { pageTable } = from.mm;
  const { end } = from;
  for (let at = pageTable.nextPopulated(from.start, end); at < end; at = pageTable.nextPopulated(at, end)) {
    const target = yield* ensureHugetlbPmd(to.mm, at);
    if (target === NO_ENTRY)
      throw new KernelError("ENOMEM", "no memory for the child's page tables: the process can't fork");
    // The owner of the reservation may have taken the page from this process while ensureHugetlbPmd() slept.
    const source = hugePmd(pageTable, at);
    if (source !== NO_ENTRY && isPinned(from, source)) yield* copyPinned(to, from, at, target);
    else if (source !== NO_ENTRY) share(to, from, source, target);
    at = (at + PMD_SIZE) as VirtAddr;
    yield condResched;
  }
}

/** Whether the page of an entry may be pinned, and so must not be shared. @see page_try_dup_anon_rmap() */
function isPinned({ mm: { hasPinned, pageTable, vm } }: Vma, pmd: number): boolean {
  const head = entryPage(pageTable.value(pmd));
  return vm.memmap.test(head, PageFlag.anonExclusive) && hasPinned && pageMaybeDmaPinned(vm, head);
}

/** Maps the parent's page in the child, and write-protects it in the parent. */
function share(to: Vma, from: Vma, source: number, target: number): void {
  const { pageTable, vm } = from.mm;
  const head = entryPage(pageTable.value(source));
  const flags = pageTable.flags(source) & ~Pte.write;
  vm.memmap.getPage(head);
  vm.memmap.clear(head, PageFlag.anonExclusive);
  pageTable.setFlags(source, flags);
  mapHugetlbPage(to, target, head, flags & (Pte.dirty | Pte.softDirty));
}

/** Gives the child a copy of a pinned page. The pinned one stays the parent's. */
function* copyPinned(to: Vma, from: Vma, address: VirtAddr, target: number): Sleeps<void> {
  const { pageTable, vm } = from.mm;
  const fresh: Page = yield* allocHugetlbPage(to, address);
  if (fresh === NULL_PAGE)
    throw new KernelError("ENOMEM", "the pool has no page for a copy of a pinned one: raise vm.nr_hugepages");
  const source = hugePmd(pageTable, address);
  if (source === NO_ENTRY) return vm.memmap.putPage(fresh);
  copyHugePage(vm, fresh, entryPage(pageTable.value(source)));
  ownHugetlbPage(vm, fresh, to, address);
  keepPage(to, address, fresh);
  mapHugetlbPage(to, target, fresh, WRITTEN);
}
