// A page was used: the first time it is marked, the second time it becomes active. Kernel counterpart:
// folio_mark_accessed() in mm/swap.c.
import type { Page } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import type { Vm } from "../vm.ts";
import { workingsetActivation } from "./workingset.ts";

/** @see folio_mark_accessed() */
export function markPageAccessed(vm: Vm, page: Page): void {
  const { memmap, lru } = vm;
  if (!memmap.test(page, PageFlag.referenced)) {
    memmap.set(page, PageFlag.referenced);
  } else if (!memmap.test(page, PageFlag.unevictable | PageFlag.active)) {
    if (memmap.test(page, PageFlag.lru)) lru.activate(page);
    else memmap.set(page, PageFlag.active);
    memmap.clear(page, PageFlag.referenced);
    workingsetActivation(vm, page);
  }
}
