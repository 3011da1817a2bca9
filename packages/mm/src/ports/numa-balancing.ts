// Port: migrating a page to the node that uses it, after a NUMA hinting fault. `migrateMisplacedPage` of the package
// migrate implements it. Without it pages stay on their node. Kernel counterpart: migrate_misplaced_page() in
// mm/migrate.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vma } from "../vma/vma.ts";

/**
 * Migrates one page to a node, without waiting for its lock. The caller's reference is dropped.
 *
 * @returns whether the page was migrated
 */
export type MigrateMisplacedPage = (vma: Vma, page: Page, node: NodeId) => Sleeps<boolean>;

/** No NUMA balancing: drops the reference. */
export const noNumaBalancing: MigrateMisplacedPage = function* (vma, page) {
  vma.mm.vm.memmap.putPage(page);
  return false;
};
