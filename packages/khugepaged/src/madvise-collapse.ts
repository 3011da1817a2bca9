// madvise(MADV_COLLAPSE): collapses a range at once, without the limits that khugepaged has. Each 2 MiB is tried on its
// own.
// Kernel counterpart: madvise_collapse() in mm/khugepaged.c.
import { type Errno, KernelError, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { describeVma, type Vma } from "@hetmem/mm";
import { hugepageVmaCheck } from "@hetmem/mm/huge";
import { PMD_SIZE } from "@hetmem/page-table";
import { collapseHugePage } from "./collapse.ts";
import type { ScanResult } from "./pmd-scan.ts";

/** Failures of one range of 2 MiB after which the next one is tried. Any other ends the call. */
const CONTINUES_AFTER: ReadonlySet<ScanResult> = new Set<ScanResult>([
  "pmd_null",
  "pte_non_present",
  "no_writable_page",
  "lack_referenced_page",
  "page_null",
  "not_suitable_page_count",
  "page_locked",
  "page_not_in_lru",
]);

/** Errno by failure. EINVAL for the others: another attempt would fail, too. @see madvise_collapse_errno() */
const ERRNO: Partial<Record<ScanResult, Errno>> = {
  alloc_huge_page_failed: "ENOMEM",
  ccgroup_charge_failed: "EBUSY",
  not_suitable_page_count: "EAGAIN",
  page_locked: "EAGAIN",
  page_not_in_lru: "EAGAIN",
};

/**
 * Collapses all whole 2 MiB of a part of a mapping. The mmap lock is held for reading on entry and on return, and
 * released in between.
 *
 * @param start first address
 * @param end address behind the last
 * @throws KernelError EINVAL for a mapping that can't have huge pages, or a range that can't be collapsed; ENOMEM
 *   without a free huge page; EBUSY at the limit of the cgroup; EAGAIN if a page is in use. Other ranges have been
 *   collapsed then
 * @see madvise_collapse()
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
    if (!CONTINUES_AFTER.has(result)) break;
  }
  yield* mm.mmapLock.downRead();
  if (left === 0) return;
  throw new KernelError(
    ERRNO[failure] ?? "EINVAL",
    `not all of 0x${start.toString(16)}-0x${end.toString(16)} is huge pages now: ${failure}`,
  );
}
