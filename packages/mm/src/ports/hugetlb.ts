// Port: the pool of reserved huge pages, and the mappings of them, whose faults, copies and unmapping it handles.
// `HugetlbPool` of the package hugetlb implements it. Without it MAP_HUGETLB fails with ENOSYS. Kernel counterpart:
// include/linux/hugetlb.h.
import { KernelBug, KernelError, type Page, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { VmFault } from "../fault/vm-fault.ts";
import type { FileObject } from "../file/file-object.ts";
import type { Vma } from "../vma/vma.ts";

/** A hugetlbfs file for one anonymous mapping. After close() only the mapping keeps it. */
export interface HugetlbMapping {
  readonly file: FileObject & { close(): Sleeps<void> };
  /** Bytes, rounded up to huge pages. */
  readonly length: number;
}

export interface Hugetlb {
  /** Small pages in huge pages of the pool, free or in use. They can't be used otherwise. @see hugetlb_total_pages() */
  readonly totalPages: number;
  /** Whether a page is the head of a huge page of the pool. @see PageHuge() */
  owns(head: Page): boolean;
  /** Takes back a huge page without references. @see free_huge_page() */
  free(head: Page): void;
  /**
   * Gives free huge pages in [start, end) back to the allocator, except reserved ones.
   *
   * @see dissolve_free_huge_pages()
   */
  dissolveFree(start: Pfn, end: Pfn): void;
  /**
   * Makes the file of an anonymous mapping.
   *
   * @param length bytes
   * @param flags MapFlag bits
   * @throws KernelError EINVAL, ENOMEM, ENOSYS
   * @see hugetlb_file_setup()
   */
  fileSetup(length: number, flags: number): HugetlbMapping;
  /** Broken invariants of the pool, a sentence each; none while the pool is changing. Part of vmInvariants. */
  findings(): Iterable<string>;
  /** Handles a fault in a mapping of the pool. @see hugetlb_fault() */
  fault(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault>;
  /** Copies the entries of a mapping for fork(). @see copy_hugetlb_page_range() */
  copyRange(to: Vma, from: Vma): Sleeps<void>;
  /** Unmaps [start, end) of a mapping. @see __unmap_hugepage_range() */
  zapRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void>;
}

/** No pool. @see CONFIG_HUGETLBFS=n */
export const noHugetlb: Hugetlb = {
  totalPages: 0,
  owns: () => false,
  free: unreachable,
  dissolveFree: () => {},
  fileSetup() {
    throw new KernelError(
      "ENOSYS",
      "the machine was made without a pool of huge pages: give Vm hugetlbParts of @hetmem/hugetlb",
    );
  },
  findings: () => [],
  fault: unreachable,
  copyRange: unreachable,
  zapRange: unreachable,
};

function unreachable(): never {
  throw new KernelBug("a mapping of huge pages, and the machine was made without a pool of them");
}
