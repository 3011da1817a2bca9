// Whether a mapping would get huge pages: THPeligible of smaps.
import type { Vma } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";

export function thpEligible(vma: Vma): boolean {
  return hugepageVmaCheck(vma, "smaps");
}
