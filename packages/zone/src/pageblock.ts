// The migrate type of each 2 MiB pageblock: three bits in the section table, stored so that 0 is Movable, the initial
// type. Kernel counterpart: pageblock_flags in mm/page_alloc.c.
import type { Page } from "@hetmem/kernel";
import { type MemMap, PAGEBLOCK_BITS, type SectionTable } from "@hetmem/page";
import { MigrateType } from "./zone-type.ts";

const MASK = (1 << PAGEBLOCK_BITS) - 1;
const MOVABLE: number = MigrateType.Movable;

export class Pageblocks {
  private readonly sections: SectionTable;

  constructor(memmap: MemMap) {
    this.sections = memmap.sections;
  }

  /** @see get_pageblock_migratetype() */
  get(page: Page): MigrateType {
    return ((this.sections.blockOf(page) & MASK) ^ MOVABLE) as MigrateType;
  }

  /** @see set_pageblock_migratetype() */
  set(page: Page, type: MigrateType): void {
    this.setRange(page, 1, type);
  }

  /** Sets the type of every pageblock that overlaps [page, page + pages). The range lies in one section. */
  setRange(page: Page, pages: number, type: MigrateType): void {
    this.sections.setPageblockBits(page, pages, type ^ MOVABLE);
  }

  /** Node, zone and type of a page's pageblock as one number, encoded as by placeOfBlock(). */
  placeOf(page: Page, zone: number): number {
    return (this.sections.blockOf(page) << 3) | zone;
  }
}

/** Node, zone and migrate type as one number. */
export function placeOfBlock(node: number, zone: number, type: MigrateType): number {
  return (((node << PAGEBLOCK_BITS) | (type ^ MOVABLE)) << 3) | zone;
}
