// The access bits that a new page table entry of a mapping gets. A writable mapping gets read-only entries in two
// cases: a private page must be copied before its first write, and a file that tracks dirty pages must see the first
// write. Kernel counterpart: vm_page_prot of struct vm_area_struct; vma_set_page_prot() and vma_wants_writenotify()
// in mm/mmap.c.
import { Pte } from "@hetmem/page-table";
import { isAccessible, VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

const WRITES_SHARED = VmFlag.WRITE | VmFlag.SHARED;

/**
 * Pte bits that a new entry of a mapping has besides `present`: `write`, `protnone` or neither.
 *
 * @see vm_get_page_prot()
 */
export function vmaPageProt(vma: Vma): number {
  if (!isAccessible(vma.flags)) return Pte.protnone;
  return (vma.flags & WRITES_SHARED) === WRITES_SHARED && !vmaWantsWritenotify(vma) ? Pte.write : 0;
}

/**
 * Whether the first write to each page of a shared mapping must fault, for the file or for soft-dirty tracking.
 *
 * @see vma_wants_writenotify()
 */
export function vmaWantsWritenotify({ flags, ops, file }: Vma): boolean {
  if ((flags & WRITES_SHARED) !== WRITES_SHARED) return false;
  if (ops?.pageMkwrite || ops?.pfnMkwrite) return true;
  // Without SOFTDIRTY, clear_refs has started tracking writes. Pages of the hugetlb pool aren't tracked.
  if ((flags & (VmFlag.SOFTDIRTY | VmFlag.HUGETLB)) === 0) return true;
  return (flags & VmFlag.PFNMAP) === 0 && file?.mapping?.canWriteback === true;
}
