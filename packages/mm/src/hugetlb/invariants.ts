// What must hold of the pool whenever nobody is in the middle of something: each free page is nobody's, all that was
// promised is there, and address spaces count what they map of it.
import type { Page } from "@hetmem/kernel";
import { describePage, PageFlag } from "@hetmem/page";
import type { MmStruct } from "../mm-struct.ts";
import type { Vm } from "../vm.ts";

/** @param mapped pages of the pool that the tables of each address space map, in small pages */
export function* hugetlbFindings(
  vm: Vm,
  mapped: ReadonlyMap<MmStruct, number>,
): Generator<string, void, void> {
  const { hugetlb, memmap } = vm;
  const { total, free, reserved, surplus } = hugetlb.counts;
  if (reserved < 0 || reserved > free) yield `${reserved} huge pages are promised, and ${free} are free`;
  if (surplus > total) yield `${surplus} of ${total} huge pages are surplus`;
  for (const page of hugetlb.freePages()) if (!isIdle(vm, page)) yield `free: ${describePage(memmap, page)}`;
  for (const [mm, pages] of mapped)
    if (mm.hugetlbPages !== pages)
      yield `mm ${mm.id} counts ${mm.hugetlbPages} pages of huge ones, and its tables hold ${pages}`;
}

function isIdle({ hugetlb, memmap }: Vm, page: Page): boolean {
  const listed = memmap.test(page, PageFlag.lru | PageFlag.buddy);
  return hugetlb.owns(page) && memmap.refcount(page) === 0 && memmap.mapping(page) === 0 && !listed;
}
