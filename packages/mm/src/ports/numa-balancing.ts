// Port: a page follows the node that uses it. `migrateMisplacedPage` of the migrate package is one; without any, pages stay.
// Kernel counterpart: migrate_misplaced_page() in mm/migrate.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vma } from "../vma/vma.ts";

/** Moves one page to a node, if that works at once. The caller's reference is dropped. @returns whether the page has moved */
export type MigrateMisplacedPage = (vma: Vma, page: Page, node: NodeId) => Sleeps<boolean>;

/** The page stays. */
export const noNumaBalancing: MigrateMisplacedPage = function* (vma, page) {
  vma.mm.vm.memmap.putPage(page);
  return false;
};
