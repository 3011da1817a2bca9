export { canDemote, demotePages } from "./demotion.ts";
export { ProcessPageMigration } from "./hotplug-migration.ts";
export { mbind } from "./mbind.ts";
export { NOT_AT_ONCE } from "./migrate-at-once.ts";
export { MigrateMode, MigrateReason, type MigrateResult } from "./migrate-mode.ts";
export {
  cacheReferences,
  COPIED,
  migrateAnonymousNoCopy,
  migratePage,
  migratePageNoCopy,
} from "./migrate-page.ts";
export { migratePages, putbackMovablePages } from "./migrate-pages.ts";
export { migrateParts } from "./migrate-parts.ts";
export { migrationTarget, type MigrationTarget } from "./migration-target.ts";
export { migrateProcessPages, movePages, queryPages } from "./move-pages.ts";
export { changeProtNuma, scanForHints } from "./numa-balancing.ts";
export { describeUsers } from "./page-users.ts";
export { migrateTables } from "./procfs.ts";
export { MbindFlag } from "./queue-pages.ts";
export { getMempolicy, setMempolicy } from "./set-mempolicy.ts";
export { splitForMigration } from "./split-for-migration.ts";
