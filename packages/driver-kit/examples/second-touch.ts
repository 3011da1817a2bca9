// A promotion at the second access. See docs/ports/other-parts.md.
import type { NodeId, Page } from "@hetmem/kernel";
import { migrateMisplacedPage } from "@hetmem/migrate";
import type { Vma } from "@hetmem/mm";
import type { Promotion } from "@hetmem/mm/ports";

/** Promotes a page at the second hint, to the node of the process. */
export class SecondTouch implements Promotion {
  readonly touched: Set<Page> = new Set();
  readonly migrateMisplacedPage = migrateMisplacedPage;
  misplaced({ mm }: Vma, page: Page): NodeId | undefined {
    if (mm.vm.memmap.nodeOf(page) === mm.node) return undefined;
    if (this.touched.delete(page)) return mm.node;
    this.touched.add(page);
    return undefined;
  }
}
