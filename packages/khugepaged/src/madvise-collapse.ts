// madvise(MADV_COLLAPSE): huge pages now, whatever khugepaged would think of it. Kernel counterpart: madvise_collapse() in
// mm/khugepaged.c.
import { type Errno, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vma } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";
import { PMD_SIZE } from "@hetmem/page-table";
import { collapseHugePage } from "./collapse.ts";
import type { ScanResult } from "./pmd-scan.ts";

/** What is in the way of one huge page need not be in the way of the next. */
const GOES_ON: ReadonlySet<ScanResult> = new Set<ScanResult>([
  "pmd_null",
  "pte_non_present",
  "no_writable_page",
  "lack_referenced_page",
  "page_null",
  "not_suitable_page_count",
  "page_locked",
  "page_not_in_lru",
]);

/** The others are EINVAL: there is no point in trying again. @see madvise_collapse_errno() */
const ERRNO: Partial<Record<ScanResult, Errno>> = {
  alloc_huge_page_failed: "ENOMEM",
  ccgroup_charge_failed: "EBUSY",
  not_suitable_page_count: "EAGAIN",
  page_locked: "EAGAIN",
  page_not_in_lru: "EAGAIN",
};

/**
 * Makes huge pages of all whole 2 MiB of a part of a mapping. The mmap lock is held for reading, but not throughout.
 *
 * @throws KernelError EINVAL for a mapping that can't have any, or for pages that can't become one; ENOMEM, EBUSY, EAGAIN
 *   where memory, the cgroup's limit or somebody who uses a page is in the way. What could be done has been
 */
export function* madviseCollapse(vma: Vma, start: VirtAddr, end: VirtAddr): Sleeps<void> {
  const { mm } = vma;
  if (!hugepageVmaCheck(vma, "madvise"))
    throw new KernelError("EINVAL", `${describeVma(vma)} can't have huge pages`);
  const first = Math.ceil(start / PMD_SIZE) * PMD_SIZE;
  const last = Math.floor(end / PMD_SIZE) * PMD_SIZE;
  let left = (last - first) / PMD_SIZE;
  let failure: ScanResult = "failed";
  mm.mmapLock.upRead();
  for (let at = first; at < last; at += PMD_SIZE) {
    const result = yield* collapseHugePage(mm, at as VirtAddr, "madvise");
    if (result === "succeeded" || result === "page_pmd_mapped") {
      left--;
      continue;
    }
    failure = result;
    if (!GOES_ON.has(result)) break;
  }
  yield* mm.mmapLock.downRead();
  if (left === 0) return;
  throw new KernelError(
    ERRNO[failure] ?? "EINVAL",
    `not all of 0x${start.toString(16)}-0x${end.toString(16)} is huge pages now: ${failure}`,
  );
}
