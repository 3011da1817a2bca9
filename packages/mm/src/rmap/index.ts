export { pageTryShareAnonRmap } from "./anon-exclusive.ts";
export { AnonVma, MAPPING_ANON, PGOFF_WINDOW } from "./anon-vma.ts";
export { tryRestoreExclusivePte } from "./device-exclusive.ts";
export {
  pageAddFileRmap,
  pageAddNewAnonRmap,
  pageAnon,
  pageDupRmap,
  pageMoveAnonRmap,
  pageRemoveRmap,
} from "./map-counts.ts";
export { hugeEntry, inMapping, mappedEntry, pageMapped, presentEntry } from "./mapped-entry.ts";
export { isOrdinaryPage } from "./ordinary-page.ts";
export { pageMapcount } from "./page-mapcount.ts";
export { pageMkclean } from "./page-mkclean.ts";
export { presentAfterMigration, removeMigrationPte, removeMigrationPtes } from "./remove-migration-ptes.ts";
export { rmapWalk, tryRmapWalk, unitPages } from "./rmap-walk.ts";
export { tryToMigrate } from "./try-to-migrate.ts";
export { tryToUnmap, tryToUnmapLocked, tryToUnmapPoisoned } from "./try-to-unmap.ts";
