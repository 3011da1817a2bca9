// Writes to huge pages that are mapped read-only: the page is reused when no other process has it. Otherwise the
// entry is split, and only the small page that is written is copied. Kernel counterpart: do_huge_pmd_wp_page() in
// mm/huge_memory.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { entryPage, Pte } from "@hetmem/page-table";
import { FaultFlag, VmFault } from "../fault/vm-fault.ts";
import { lockPage, trylockPage, unlockPage } from "../page-lock.ts";
import { pageMoveAnonRmap } from "../rmap/map-counts.ts";
import { VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { splitHugePmd } from "./split-pmd.ts";

/**
 * Handles a write to a read-only huge entry.
 *
 * @returns 0; FALLBACK when the entry was split and small pages must serve the fault
 */
export function* doHugePmdWpPage(vma: Vma, address: VirtAddr, pmd: number, flags: number): Sleeps<VmFault> {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const value = pageTable.value(pmd);
  const had = pageTable.flags(pmd);
  const head = entryPage(value);
  if (!memmap.test(head, PageFlag.anonExclusive)) {
    if (!trylockPage(memmap, head)) {
      memmap.getPage(head);
      yield* lockPage(memmap, head);
      const changed = pageTable.value(pmd) !== value || pageTable.flags(pmd) !== had;
      if (changed) unlockPage(memmap, head);
      memmap.putPage(head);
      if (changed) return 0;
    }
    const exclusive = becomeExclusive(vma, head);
    unlockPage(memmap, head);
    if (!exclusive) {
      yield* splitHugePmd(vma, address);
      return VmFault.FALLBACK;
    }
  }
  if ((flags & FaultFlag.UNSHARE) === 0) {
    const written = Pte.accessed | Pte.dirty | Pte.softDirty;
    pageTable.setFlags(pmd, had | written | ((vma.flags & VmFlag.WRITE) !== 0 ? Pte.write : 0));
  }
  return 0;
}

/** Whether the locked page is exclusive, or can become so: the entry holds the only reference. */
function becomeExclusive(vma: Vma, head: Page): boolean {
  const { vm } = vma.mm;
  if (vm.memmap.test(head, PageFlag.anonExclusive)) return true;
  if (vm.memmap.refcount(head) !== 1) return false;
  pageMoveAnonRmap(vm, head, vma);
  return true;
}
