// Entering a mapping into an address space and uncounting it: the mapping list, the file's interval tree, the
// counters. The functions here take no locks. A mapping that reverse mapping walks can already reach changes through
// adjust.ts. Kernel counterparts: vma_link() and remove_vma() in mm/mmap.c.
import { vmStatAccount } from "./commit.ts";
import { VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/** Enters a mapping into its address space and the interval tree of its file, and counts its pages. @see vma_link() */
export function linkVma(vma: Vma): void {
  vma.mm.vmas.insert(vma);
  vma.file?.mapping?.iMmap.insert(vma);
  vmStatAccount(vma.mm, vma.flags, vma.pages);
}

/** Returns what was counted for a removed mapping, and calls its driver's close() last. @see remove_vma() */
export function uncountVma(vma: Vma): void {
  const { mm, flags, pages } = vma;
  mm.hiwaterVm = Math.max(mm.hiwaterVm, mm.totalVm);
  if ((flags & VmFlag.ACCOUNT) !== 0) mm.vm.commit.uncharge(pages);
  vmStatAccount(mm, flags, -pages);
  vma.ops?.close?.(vma);
}
