export { PageContents } from "./contents.ts";
export { DeviceRam, type FrameStore, FrameStores } from "./frame-store.ts";
export { grown, resized } from "./growth.ts";
export { describePage, dumpPage, formatPageFlags } from "./dump-page.ts";
export { hostArray, HostMemoryError, hostSize } from "./host-array.ts";
export { pageInvariants } from "./invariants.ts";
export {
  MAX_PAGES,
  MEMMAP_PAGE_BYTES,
  NO_ZONE,
  NULL_PAGE,
  PAGE_WORDS,
  PageFlag,
  PAGES_PER_SECTION,
  PAGES_PER_SUBSECTION,
  SECTION_SHIFT,
  SECTION_SIZE,
  STRUCT_PAGE_BYTES,
  SUBSECTIONS_PER_SECTION,
} from "./layout.ts";
export { type FreePage, MemMap, type MemMapOptions } from "./memmap.ts";
export type { DevicePages, RamPages } from "./page-init.ts";
export { type ListId, PageLists } from "./page-lists.ts";
export { PageMoves } from "./page-moves.ts";
export { type FitPages, PAGEBLOCK_BITS, sectionOfPfn, SectionTable, sectionToPfn } from "./section.ts";
export { SectionFlag } from "./section-records.ts";
