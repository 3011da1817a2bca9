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
    // Whoever has taken it off its list decides where it goes: a page without a list must not be freed as an active one.
    if (memmap.test(page, PageFlag.lru)) lru.activate(page);
    memmap.clear(page, PageFlag.referenced);
    workingsetActivation(vm, page);
  }
}
