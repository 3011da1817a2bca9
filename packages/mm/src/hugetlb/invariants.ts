// Invariants of the pool: each free page is idle, and as many are free as are promised to mappings.
import type { Invariant, Page } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import type { Vm } from "../vm.ts";
import { hugetlbPool } from "./hugetlb-pool.ts";

/** Hold whenever no change of the pool is under way. */
export const hugetlbInvariants: readonly Invariant<Vm>[] = [
  {
    name: "the pool of huge pages has what it promises",
    *check(vm) {
      const pool = hugetlbPool(vm);
      const { total, free, reserved, surplus } = pool.counts;
      if (reserved < 0 || reserved > free) yield `${reserved} huge pages are promised, and ${free} are free`;
      if (surplus > total) yield `${surplus} of ${total} huge pages are surplus`;
      for (const page of pool.freePages())
        if (!isIdle(vm, page)) yield `free: ${describePage(vm.memmap, page)}`;
    },
  },
];

function isIdle(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  const listed = memmap.test(page, PageFlag.lru | PageFlag.buddy);
  return hugetlbPool(vm).owns(page) && memmap.refcount(page) === 0 && memmap.mapping(page) === 0 && !listed;
}
