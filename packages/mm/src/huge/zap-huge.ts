// Unmapping a huge entry: as a whole if the range covers its 2 MiB, otherwise after a split into small entries, which
// the caller unmaps. The page table that was deposited for the split is freed with the entry. Kernel counterpart:
// zap_huge_pmd() in mm/huge_memory.c.
import type { Sleeps, VirtAddr } from "@hetmem/kernel";
import { entryPage, NO_ENTRY, PMD_SIZE } from "@hetmem/page-table";
import { Rss } from "../mm-struct.ts";
import type { ShouldZap } from "../unmap/zap.ts";
import { munlockVmaHuge } from "../vma/mlock-page.ts";
import type { Vma } from "../vma/vma.ts";
import { HPAGE_PMD_NR, hugeRemoveRmap } from "./huge-counts.ts";
import { hugePmd, splitHugePmd } from "./split-pmd.ts";

/**
 * Clears the huge entry of [start, end), a range in one 2 MiB that the caller has notified. If the range covers only
 * a part, the entry is split instead, and the caller handles the small entries.
 *
 * @param shouldZap returns false for a page to be left mapped; absent: every page is unmapped
 */
export function* zapHugePmd(
  vma: Vma,
  start: VirtAddr,
  end: VirtAddr,
  shouldZap: ShouldZap | undefined,
): Sleeps<void> {
  const { pageTable } = vma.mm;
  if (end - start !== PMD_SIZE) {
    yield* splitHugePmd(vma, start);
    return;
  }
  const pmd = hugePmd(pageTable, start);
  if (pmd === NO_ENTRY || (shouldZap && !shouldZap(entryPage(pageTable.value(pmd))))) return;
  if (vma.anonymous) zapAnonymous(vma, pmd);
  // Huge entries of devices are not counted on their pages.
  else pageTable.clear(pmd);
}

function zapAnonymous(vma: Vma, pmd: number): void {
  const { mm } = vma;
  const { pageTable, rss, vm } = mm;
  const head = entryPage(pageTable.value(pmd));
  pageTable.clear(pmd);
  pageTable.freeDeposited();
  rss[Rss.anon] = (rss[Rss.anon] as number) - HPAGE_PMD_NR;
  hugeRemoveRmap(vm, head);
  munlockVmaHuge(head, vma);
  vm.memmap.putPage(head);
}
