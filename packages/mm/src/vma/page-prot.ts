// What entries of a mapping may do as soon as they are made. A mapping that may be written does not always get entries
// that may: private pages are copied first, and who keeps count of dirty pages hears of the first write. Kernel
// counterpart: vm_page_prot of struct vm_area_struct; vma_set_page_prot() and vma_wants_writenotify() in mm/mmap.c.
import { Pte } from "@hetmem/page-table";
import { isAccessible, VmFlag } from "./vm-flags.ts";
import type { Vma } from "./vma.ts";

const WRITES_SHARED = VmFlag.WRITE | VmFlag.SHARED;

/** Pte bits that a new entry of a mapping has besides `present`: `write`, `protnone` or neither. @see vm_get_page_prot() */
export function vmaPageProt(vma: Vma): number {
  if (!isAccessible(vma.flags)) return Pte.protnone;
  return (vma.flags & WRITES_SHARED) === WRITES_SHARED && !vmaWantsWritenotify(vma) ? Pte.write : 0;
}

/** Whether somebody wants to hear of the first write to each page of a shared mapping. @see vma_wants_writenotify() */
export function vmaWantsWritenotify({ flags, ops, file }: Vma): boolean {
  if ((flags & WRITES_SHARED) !== WRITES_SHARED) return false;
  if (ops?.pageMkwrite || ops?.pfnMkwrite) return true;
  // clear_refs took the flag: writes are tracked, but for those to pages of the pool.
  if ((flags & (VmFlag.SOFTDIRTY | VmFlag.HUGETLB)) === 0) return true;
  return (flags & VmFlag.PFNMAP) === 0 && file?.mapping?.canWriteback === true;
}
