// Splitting huge pages for madvise() on a part of them, so that the advice doesn't affect the rest. If a page can't
// be split, the advice is ignored. Kernel counterparts: madvise_free_huge_pmd() in mm/huge_memory.c,
// madvise_cold_or_pageout_pte_range() and madvise_free_pte_range() in mm/madvise.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { trylockPage, unlockPage, type Vm, type Vma } from "@hetmem/mm";
import { splitHugePage } from "@hetmem/mm/huge";
import { pageMapcount } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { entryPage, NO_ENTRY, PMD_SIZE, Pte } from "@hetmem/page-table";

/**
 * Splits the huge pages in [start, end), a range in one 2 MiB, that only this mapping maps and that the range doesn't
 * cover with a huge entry. The mmap lock is held for reading.
 */
export function* splitAdvised(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { pageTable, vm } = vma.mm;
  const pmd = pageTable.findPmd(start);
  const table = pmd === NO_ENTRY ? NO_ENTRY : pageTable.tableUnder(pmd);
  if (table === NO_ENTRY) {
    if (pmd !== NO_ENTRY && end - start !== PMD_SIZE)
      yield* splitHugePageOf(vm, pageTable.value(pmd), pageTable.flags(pmd));
    return;
  }
  const first = table + (start % PMD_SIZE) / 4096;
  const last = first + (end - start) / 4096;
  for (let entry = first; entry < last; entry++)
    yield* splitHugePageOf(vm, pageTable.value(entry), pageTable.flags(entry));
}

/** Splits the huge page of an entry. @param value the entry's page, possibly a part of a huge page */
function* splitHugePageOf(vm: Vm, value: number, flags: number): Sleeps<void> {
  const { memmap } = vm;
  if ((flags & (Pte.present | Pte.special | Pte.devmap)) !== Pte.present) return;
  const page = entryPage(value);
  if (!memmap.test(page, PageFlag.head | PageFlag.tail) || pageMapcount(memmap, page) !== 1) return;
  const head: Page = memmap.compoundHead(page);
  if (!trylockPage(memmap, head)) return;
  memmap.getPage(head);
  yield* splitHugePage(vm, head);
  unlockPage(memmap, head);
  vm.pages.put(head);
}
