// mmap(MAP_HUGETLB): makes a file of huge pages for the mapping, and reserves its pages.
// Kernel counterpart: hugetlb_file_setup() and hugetlbfs_file_mmap() in fs/hugetlbfs/inode.c, hugetlb_vm_ops in
// mm/hugetlb.c.
import { alignUp, isAligned, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  describeVma,
  MAP_HUGE_MASK,
  MAP_HUGE_SHIFT,
  type Vm,
  type Vma,
  VmFlag,
  type VmOperations,
} from "@hetmem/mm";
import { OpenFile } from "@hetmem/page-cache";
import { PMD_SIZE } from "@hetmem/page-table";
import { HugetlbInode } from "./hugetlb-inode.ts";
import { hugetlbInherit, hugetlbReservePages, hugetlbUnreserve } from "./reservations.ts";

const PMD_SHIFT = 21;
const PUD_SHIFT = 30;

/** Operations of a mapping of huge pages. @see hugetlb_vm_ops */
const hugetlbVmOps: VmOperations = {
  open: hugetlbInherit,
  close: hugetlbUnreserve,
  maySplit(vma: Vma, address: VirtAddr) {
    if (isAligned(address, PMD_SIZE)) return;
    throw new KernelError(
      "EINVAL",
      `${describeVma(vma)} can't be divided at 0x${address.toString(16)}: its pages are of 2 MiB`,
    );
  },
};

export class HugetlbFile extends OpenFile {
  readonly vmFlags: number = VmFlag.HUGETLB | VmFlag.DONTEXPAND;

  constructor(vm: Vm, bytes: number) {
    const path = "/anon_hugepage (deleted)";
    super(new HugetlbInode(vm, bytes), { path, writable: true, vmOps: hugetlbVmOps });
  }

  /**
   * Grows the file to the end of a new mapping, and reserves pages for it.
   *
   * @throws KernelError EINVAL for an offset inside a huge page; ENOMEM if the pool is too small
   * @see hugetlbfs_file_mmap()
   */
  override *mmap(vma: Vma): Sleeps<void> {
    if (!isAligned(vma.pgoff * 4096, PMD_SIZE))
      throw new KernelError("EINVAL", `offset 0x${(vma.pgoff * 4096).toString(16)} is inside a huge page`);
    const { host } = this;
    host.size = Math.max(host.size, vma.pgoff * 4096 + (vma.end - vma.start));
    yield* hugetlbReservePages(vma);
  }
}

/**
 * Makes the file of a mapping with MAP_HUGETLB. The caller closes it after mapping it.
 *
 * @param length bytes
 * @param flags MapFlag bits, which may encode a huge page size
 * @returns the file, and the length rounded up to whole huge pages
 * @throws KernelError EINVAL for a size that x86-64 doesn't have; ENOMEM for 1 GiB, for which there is no pool
 * @see ksys_mmap_pgoff(), hugetlb_file_setup()
 */
export function hugetlbFileSetup(
  vm: Vm,
  length: number,
  flags: number,
): { readonly file: HugetlbFile; readonly length: number } {
  const shift = (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
  if (shift === PUD_SHIFT)
    throw new KernelError("ENOMEM", "there is no pool of 1 GiB pages: use those of 2 MiB");
  if (shift !== 0 && shift !== PMD_SHIFT)
    throw new KernelError("EINVAL", `there are no huge pages of 2^${shift} bytes: use MAP_HUGE_2MB`);
  const whole = alignUp(length, PMD_SIZE);
  return { file: new HugetlbFile(vm, whole), length: whole };
}
