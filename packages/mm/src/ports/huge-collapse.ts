// Port: small pages become huge ones on request. `Khugepaged` of the khugepaged package is one; without any,
// MADV_COLLAPSE fails. Kernel counterpart: madvise_collapse() in mm/khugepaged.c.
import { KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vma } from "../vma/vma.ts";

export interface HugeCollapse {
  /**
   * Makes huge pages of all whole 2 MiB of a part of a mapping. The mmap lock is held for reading, but not throughout.
   *
   * @throws KernelError EINVAL, ENOMEM, EBUSY, EAGAIN; what could be done has been
   */
  madviseCollapse(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void>;
}

export const noHugeCollapse: HugeCollapse = {
  madviseCollapse(vma) {
    const why = "the machine was made without khugepaged";
    throw new KernelError("EINVAL", `${describeVma(vma)} can't get huge pages: ${why}`);
  },
};
