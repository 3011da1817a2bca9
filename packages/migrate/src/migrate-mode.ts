// How hard a migration tries, why it is made, and what comes out of it. Kernel counterparts: include/linux/migrate_mode.h,
// include/trace/events/migrate.h.
import type { Errno, Page } from "@hetmem/kernel";

/** @see enum migrate_mode in include/linux/migrate_mode.h */
export const MigrateMode = {
  /** Never waits. */
  Async: "async",
  /** Waits for page locks, not for writeback. */
  SyncLight: "sync_light",
  /** Waits for whatever is in its way. */
  Sync: "sync",
} as const;
export type MigrateMode = (typeof MigrateMode)[keyof typeof MigrateMode];

/** @see enum migrate_reason in include/linux/migrate_mode.h */
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

/** A page that stayed where it is, isolated still: see putbackMovablePages(). */
export interface MigrateFailure {
  readonly page: Page;
  readonly errno: Errno;
  /** Why, as the rest of a sentence: `is pinned (refcount 3, mapcount 1)`. */
  readonly reason: string;
}

export interface MigrateResult {
  /** In pages of 4 KiB. */
  readonly migrated: number;
  readonly failed: readonly MigrateFailure[];
}
