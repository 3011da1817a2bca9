// The state of one fault on its way through the handlers: the address, the access, and the entry as it was at the
// beginning. A handler that has slept compares the entry with that state, and gives up if another task has changed
// it. Kernel counterpart: struct vm_fault in include/linux/mm.h.
import type { Page, VirtAddr } from "@hetmem/kernel";
import { NULL_PAGE } from "@hetmem/page";
import type { FaultContext, Vma } from "../vma/vma.ts";

/**
 * The state of a fault that begins now.
 *
 * @param realAddress the byte that was accessed
 * @param flags FaultFlag bits
 * @param entry the page's entry; for a huge fault the entry in the page middle directory
 */
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

/**
 * Whether the entry still has its value from the beginning of the fault. A handler that slept must check this.
 *
 * @see pte_same()
 */
export function entrySame({ vma, entry, origValue, origFlags }: FaultContext): boolean {
  const { pageTable } = vma.mm;
  return pageTable.value(entry) === origValue && pageTable.flags(entry) === origFlags;
}
