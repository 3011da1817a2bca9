// Splitting of a huge page before its migration: small pages find free memory where a huge one doesn't. Reclaim and
// memory failure split with it, too.
// Kernel counterpart: try_split_folio() in mm/migrate.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { splitHugePage } from "@hetmem/mm/huge";

/**
 * Splits an isolated huge page into small pages. Each of them is isolated, with a reference of the caller. The caller
 * must not hold the page lock.
 *
 * @returns false if the page has another reference; nothing has changed then
 * @see try_split_folio()
 */
export function* splitForMigration(vm: Vm, head: Page): Sleeps<boolean> {
  yield* lockPage(vm.memmap, head);
  const split = yield* splitHugePage(vm, head);
  unlockPage(vm.memmap, head);
  return split;
}
