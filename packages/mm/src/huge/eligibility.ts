// Eligibility for huge pages, of a mapping and of 2 MiB in it. Only private anonymous memory is eligible: huge pages
// of files and of shared memory aren't modelled. Kernel counterparts: hugepage_vma_check() in mm/huge_memory.c,
// transhuge_vma_suitable() in include/linux/huge_mm.h.
import type { VirtAddr } from "@hetmem/kernel";
import { PMD_SIZE } from "@hetmem/page-table";
import { VM_SPECIAL, VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { hugeAddress } from "./split-pmd.ts";

/** The caller of hugepageVmaCheck(): a fault, smaps, khugepaged, or madvise(MADV_COLLAPSE). */
export type HugeAsker = "fault" | "smaps" | "khugepaged" | "madvise";

const INELIGIBLE_VM_FLAGS: number = VmFlag.NOHUGEPAGE | VmFlag.HUGETLB | VmFlag.SHARED | VM_SPECIAL;

/** Whether a mapping may have huge pages. @see hugepage_vma_check() */
export function hugepageVmaCheck(vma: Vma, asker: HugeAsker): boolean {
  if (!vma.anonymous || (vma.flags & INELIGIBLE_VM_FLAGS) !== 0) return false;
  // A fault checks its own 2 MiB.
  if (asker !== "fault" && !transhugeVmaSuitable(vma, (vma.end - PMD_SIZE) as VirtAddr)) return false;
  // MADV_COLLAPSE is an explicit request, to which transparent_hugepage/enabled doesn't apply.
  if (asker !== "madvise" && !isEnabled(vma)) return false;
  return vma.anonVma !== undefined || asker === "fault" || asker === "smaps";
}

/** Whether the aligned 2 MiB around an address lie in the mapping. @see transhuge_vma_suitable() */
export function transhugeVmaSuitable({ start, end }: Vma, address: VirtAddr): boolean {
  const first = hugeAddress(address);
  return first >= start && first + PMD_SIZE <= end;
}

/** Whether /sys/kernel/mm/transparent_hugepage/enabled allows huge pages in the mapping. */
function isEnabled({ flags, mm }: Vma): boolean {
  switch (mm.vm.tunables.transparentHugepage) {
    case "always":
      return true;
    case "madvise":
      return (flags & VmFlag.HUGEPAGE) !== 0;
    case "never":
      return false;
  }
}
