// The mode of a migration (what it may wait for), its reason, and its result, with an errno and a sentence for each
// page that stays.
// Kernel counterparts: include/linux/migrate_mode.h, include/trace/events/migrate.h.
import type { Errno, Page } from "@hetmem/kernel";

/** The waits that a migration may make. @see enum migrate_mode in include/linux/migrate_mode.h */
export const MigrateMode = {
  /** None. */
  Async: "async",
  /** Page locks, but not writeback. */
  SyncLight: "sync_light",
  /** Page locks and writeback. */
  Sync: "sync",
} as const;
export type MigrateMode = (typeof MigrateMode)[keyof typeof MigrateMode];

/** The subsystem that asked for a migration. @see enum migrate_reason in include/linux/migrate_mode.h */
export const MigrateReason = {
  Compaction: "compaction",
  MemoryFailure: "memory_failure",
  MemoryHotplug: "memory_hotplug",
  /** move_pages() and migrate_pages(). */
  Syscall: "syscall_or_cpuset",
  MempolicyMbind: "mempolicy_mbind",
  NumaMisplaced: "numa_misplaced",
  ContigRange: "contig_range",
  LongtermPin: "longterm_pin",
  Demotion: "demotion",
} as const;
export type MigrateReason = (typeof MigrateReason)[keyof typeof MigrateReason];

/** A page that stayed, and is still isolated: putbackMovablePages() puts the page back on its list. */
export interface MigrateFailure {
  readonly page: Page;
  readonly errno: Errno;
  /** The reason, as the rest of a sentence: `is pinned (refcount 3, mapcount 1)`. */
  readonly reason: string;
}

/** Result of migratePages(). */
export interface MigrateResult {
  /** Pages of 4 KiB that have moved. */
  readonly migrated: number;
  readonly failed: readonly MigrateFailure[];
}
