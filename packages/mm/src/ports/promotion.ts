// Port: promotion, and NUMA balancing in general: whether a page that a process has just accessed migrates to another
// node, and its migration. `NumaBalancing` of the package migrate implements it. Without it pages stay on their node.
// Kernel counterparts: mpol_misplaced() in mm/mempolicy.c, should_numa_migrate_memory() in kernel/sched/fair.c,
// migrate_misplaced_page() in mm/migrate.c.
import type { NodeId, Page, Sleeps } from "@hetmem/kernel";
import type { Vma } from "../vma/vma.ts";

export interface Promotion {
  /**
   * Chooses a node at a NUMA hint: an access of the process to a page whose entry a scan has made inaccessible. Atomic.
   *
   * @param vma mapping of the access; its process runs on `vma.mm.node`
   * @param page an ordinary page, or the head of a huge one
   * @returns the node that the page should migrate to; undefined when it should stay
   * @see mpol_misplaced(), should_numa_migrate_memory()
   */
  misplaced(vma: Vma, page: Page): NodeId | undefined;
  /**
   * Migrates a page to the chosen node, without waiting for its lock. The caller's reference is dropped.
   *
   * @returns whether the page was migrated
   * @see migrate_misplaced_page()
   */
  migrateMisplacedPage(vma: Vma, page: Page, node: NodeId): Sleeps<boolean>;
}

/** Pages stay on their nodes. */
export const noPromotion: Promotion = {
  misplaced: () => undefined,
  *migrateMisplacedPage(vma, page) {
    vma.mm.vm.memmap.putPage(page);
    return false;
  },
};
