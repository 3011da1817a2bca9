// A huge page is divided before it moves: its parts find room where it doesn't. Kernel counterpart: try_split_folio() in
// mm/migrate.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { lockPage, unlockPage, type Vm } from "@hetmem/mm";
import { splitHugePage } from "@hetmem/mm/huge";

/**
 * Divides an isolated huge page, whose lock the caller doesn't hold, into small ones, each of them isolated and with a
 * reference of the caller's.
 *
 * @returns false when somebody else holds it, and it is as it was
 */
export function* splitForMigration(vm: Vm, head: Page): Sleeps<boolean> {
  yield* lockPage(vm.memmap, head);
  const split = yield* splitHugePage(vm, head);
  unlockPage(vm.memmap, head);
  return split;
}
