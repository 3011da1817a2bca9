// A write to a huge page that is mapped read-only: the process gets it back writable when nobody else has it. Otherwise
// its entry is divided, and only the small page that is written is copied. Kernel counterpart: do_huge_pmd_wp_page() in
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

/** @returns FALLBACK once small pages are to be looked at */
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
    const alone = becomeExclusive(vma, head);
    unlockPage(memmap, head);
    if (!alone) {
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

/** Whether nobody else can see the locked page: the only reference is this entry's. */
function becomeExclusive(vma: Vma, head: Page): boolean {
  const { vm } = vma.mm;
  if (vm.memmap.test(head, PageFlag.anonExclusive)) return true;
  if (vm.memmap.refcount(head) !== 1) return false;
  pageMoveAnonRmap(vm, head, vma);
  return true;
}
