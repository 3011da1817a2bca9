// Port: collapsing small pages to huge ones on request of a process, by madvise(MADV_COLLAPSE). `Khugepaged` of the
// package khugepaged implements it. Without it MADV_COLLAPSE fails with EINVAL. Kernel counterpart:
// madvise_collapse() in mm/khugepaged.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vma } from "../vma/vma.ts";

export interface HugeCollapse {
  /**
   * Collapses every aligned 2 MiB in a part of a mapping. The mmap lock is held for reading on entry and return, but
   * dropped in between.
   *
   * @throws KernelError EINVAL, ENOMEM, EBUSY or EAGAIN when some were not collapsed; the others stay huge
   */
  madviseCollapse(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void>;
}

export const noHugeCollapse: HugeCollapse = {
  madviseCollapse(vma) {
    const why = "the machine was made without khugepaged: give Vm khugepagedParts of @hetmem/khugepaged";
    throw new KernelError("EINVAL", `${describeVma(vma)} can't get huge pages: ${why}`);
  },
};
