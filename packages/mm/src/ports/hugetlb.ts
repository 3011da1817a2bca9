// Port: the pool of huge pages that an administrator has set aside, and the mappings of them. `HugetlbPool` of the hugetlb
// package is one; without any, MAP_HUGETLB fails. Kernel counterpart: include/linux/hugetlb.h.
import { KernelBug, KernelError, type Page, type Pfn, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import type { VmFault } from "../fault/vm-fault.ts";
import type { FileObject } from "../file/file-object.ts";
import type { Vma } from "../vma/vma.ts";

/** A file of huge pages for one mapping, which alone keeps it once it is closed. */
export interface HugetlbMapping {
  readonly file: FileObject & { close(): Sleeps<void> };
  /** Bytes of whole huge pages. */
  readonly length: number;
}

export interface Hugetlb {
  /** Small pages in huge pages of the pool, free or in use: memory that is nobody else's. @see hugetlb_total_pages() */
  readonly totalPages: number;
  /** Whether a page is the head of one of the pool. @see PageHuge() */
  owns(head: Page): boolean;
  /** The last reference of a huge page is gone. @see free_huge_page() */
  free(head: Page): void;
  /** Gives free huge pages in [start, end) back to the allocator, as far as none is promised. @see dissolve_free_huge_pages() */
  dissolveFree(start: Pfn, end: Pfn): void;
  /** @param flags MapFlag bits @throws KernelError EINVAL, ENOMEM, ENOSYS @see hugetlb_file_setup() */
  fileSetup(length: number, flags: number): HugetlbMapping;
  /** What is wrong with the pool, a sentence each, while no change of it is under way: part of vmInvariants. */
  findings(): Iterable<string>;
  /** @see hugetlb_fault() */
  fault(vma: Vma, address: VirtAddr, flags: number): Sleeps<VmFault>;
  /** @see copy_hugetlb_page_range() */
  copyRange(to: Vma, from: Vma): Sleeps<void>;
  /** @see __unmap_hugepage_range() */
  zapRange(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void>;
}

/** A machine without a pool. @see CONFIG_HUGETLBFS=n */
export const noHugetlb: Hugetlb = {
  totalPages: 0,
  owns: () => false,
  free: unreachable,
  dissolveFree: () => {},
  fileSetup() {
    throw new KernelError("ENOSYS", "the machine was made without a pool of huge pages: give Vm one");
  },
  findings: () => [],
  fault: unreachable,
  copyRange: unreachable,
  zapRange: unreachable,
};

function unreachable(): never {
  throw new KernelBug("a mapping of huge pages, and the machine was made without a pool of them");
}
