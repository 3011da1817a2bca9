// What each 2 MiB pageblock is used for, a byte a block. Kernel counterpart: pageblock_flags in mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { type MemMap, resized } from "@hetmem/page";
import { MigrateType, PAGEBLOCK_ORDER } from "./zone-type.ts";

export class Pageblocks {
  private types: Uint8Array = new Uint8Array(0);

  constructor(memmap: MemMap) {
    memmap.addTable((pages) => {
      const known = this.types.length;
      this.types = resized(this.types, pages >> PAGEBLOCK_ORDER, "pageblocks").fill(
        MigrateType.Movable,
        known,
      );
    });
  }

  /** @see get_pageblock_migratetype() */
  get(page: Page): MigrateType {
    return this.types[page >> PAGEBLOCK_ORDER] as MigrateType;
  }

  /** @see set_pageblock_migratetype() */
  set(page: Page, type: MigrateType): void {
    this.types[page >> PAGEBLOCK_ORDER] = type;
  }

  /** Sets every block that [page, page + pages) touches, within one section. */
  setRange(page: Page, pages: number, type: MigrateType): void {
    this.types.fill(type, page >> PAGEBLOCK_ORDER, ((page + pages - 1) >> PAGEBLOCK_ORDER) + 1);
  }
}
