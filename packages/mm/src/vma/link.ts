// A mapping comes into an address space, or leaves it: the list, the file's tree, the counts. Reverse mapping walks hold a
// lock meanwhile, so whoever others may be walking to uses adjust.ts. Kernel counterparts: vma_link() and remove_vma() in
// mm/mmap.c.
import { vmStatAccount } from "./commit.ts";
import { VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

/** @see vma_link() */
export function linkVma(vma: Vma): void {
  vma.mm.vmas.insert(vma);
  vma.file?.mapping?.iMmap.insert(vma);
  vmStatAccount(vma.mm, vma.flags, vma.pages);
}

/** Nothing is left of a mapping but what it was counted for. Its driver hears of it last. @see remove_vma() */
export function uncountVma(vma: Vma): void {
  const { mm, flags, pages } = vma;
  mm.hiwaterVm = Math.max(mm.hiwaterVm, mm.totalVm);
  if ((flags & VmFlag.ACCOUNT) !== 0) mm.vm.commit.uncharge(pages);
  vmStatAccount(mm, flags, -pages);
  vma.ops?.close?.(vma);
}
