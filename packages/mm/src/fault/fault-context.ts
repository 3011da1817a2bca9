// One fault on its way through the handlers: what was touched, and what the entry held when it began. Kernel counterpart:
// struct vm_fault in include/linux/mm.h.
import type { Page, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { FaultContext, Vma } from "../vma/vma.ts";

/** A fault at a byte of a mapping. @param entry that of the page, or the directory's for a huge fault */
export function faultAt(vma: Vma, realAddress: VirtAddr, flags: number, entry: number): FaultContext {
  const { pageTable } = vma.mm;
  const address = (realAddress - (realAddress % 4096)) as VirtAddr;
  return {
    vma,
    address,
    realAddress,
    flags,
    pgoff: vma.pgoffOf(address),
    entry,
    origValue: pageTable.value(entry),
    origFlags: pageTable.flags(entry),
    page: NULL_PAGE as Page,
    cowPage: NULL_PAGE as Page,
  };
}

/** Whether the entry still holds what the fault began with: others may have run. @see pte_same() */
export function entrySame({ vma, entry, origValue, origFlags }: FaultContext): boolean {
  const { pageTable } = vma.mm;
  return pageTable.value(entry) === origValue && pageTable.flags(entry) === origFlags;
}
