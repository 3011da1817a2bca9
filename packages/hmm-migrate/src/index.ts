export {
  migrateDeviceCoherentPage,
  migrateDeviceFinalize,
  migrateDevicePages,
  migrateDeviceRange,
} from "./migrate-device.ts";
export {
  ANY_OWNER,
  createMigratePfns,
  keepInPlace,
  MigratePfn,
  migratePfnFlags,
  migratePfnToPage,
  migrates,
  migrateSkipReason,
  MigrateVmaSelect,
  setMigrateDst,
} from "./migrate-pfn.ts";
export { MigrateSkip, migrateSkipName, type MigrateVmaSkip } from "./migrate-skip.ts";
export {
  createMigrateVma,
  type MigrateVma,
  migrateVmaFinalize,
  migrateVmaPages,
  type MigrateVmaRequest,
  migrateVmaSetup,
} from "./migrate-vma.ts";
export { connectPagemaps, PagemapPages } from "./pagemap-pages.ts";
export {
  type HmmDevice,
  HmmDevmem,
  hmmDevmemAdd,
  hmmDevmemAddResource,
  type HmmDevmemOps,
  hmmDevmemRemove,
} from "./v4.14/hmm-devmem.ts";
export { migrateVma, type MigrateVmaArea, type MigrateVmaOps } from "./v4.14/migrate-vma.ts";
