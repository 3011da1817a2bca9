// Whether a mapping would get huge pages: THPeligible of smaps.
import { hugepageVmaCheck } from "../huge/eligibility.ts";
import type { Vma } from "../vma/vma.ts";

export function thpEligible(vma: Vma): boolean {
  return hugepageVmaCheck(vma, "smaps");
}
