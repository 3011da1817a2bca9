// Marking a page accessed, for accesses that leave no accessed bit in a page table, and when entries with that bit
// go. The first mark sets the referenced flag of a page, the second activates it. Kernel counterpart:
// folio_mark_accessed() in mm/swap.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import type { Vm } from "../vm.ts";
import { workingsetActivation } from "./workingset.ts";

/** Marks a page accessed. @see folio_mark_accessed() */
export function markPageAccessed(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  if (!memmap.test(page, PageFlag.referenced)) {
    memmap.set(page, PageFlag.referenced);
  } else if (!memmap.test(page, PageFlag.unevictable | PageFlag.active)) {
    // An isolated page has no list to move to, and must not be freed with the active flag.
    if (memmap.test(page, PageFlag.lru)) lru.activate(page);
    memmap.clear(page, PageFlag.referenced);
    workingsetActivation(vm, page);
  }
}
