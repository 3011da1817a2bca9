// THPeligible in smaps: whether a fault in a mapping may be given a transparent huge page, by the flags of the mapping
// and the setting of the machine. Kernel counterpart: hugepage_vma_check() in mm/huge_memory.c, as show_smap() calls
// it.
import type { Vma } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";

export function thpEligible(vma: Vma): boolean {
  return hugepageVmaCheck(vma, "smaps");
}
