// Swap that keeps slots for later. See docs/ports/other-parts.md.
import type { Page } from "@hetmem/kernel";
import { NO_SWAP_ENTRY } from "@hetmem/page-table";
import { SwapSpace } from "@hetmem/reclaim";

/** Swap that keeps a part of its slots for later. */
export class ReservedSwap extends SwapSpace {
  override allocSlot(page: Page): number {
    return this.freePages * 10 > this.totalPages ? super.allocSlot(page) : NO_SWAP_ENTRY;
  }
}
