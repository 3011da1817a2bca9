// Reasons why a page stays. Each page migrates or stays on its own, and the kernel doesn't report which of a dozen
// reasons applied. Here the source entry holds the reason, and a tracepoint reports it.
import type { Kernel, Page, Tracepoint } from "@hetmem/kernel";

/** Reason codes in a source entry's flags word: see migrateSkipReason(). */
export const MigrateSkip = {
  none: 0,
  /** A hole in a file mapping: only holes of anonymous memory are filled. */
  hole: 1,
  /** A swap, migration, device-exclusive or hwpoison entry. */
  notPresent: 2,
  /** RAM, and only device memory is selected. */
  systemNotSelected: 3,
  /** Device memory of a type that isn't selected. */
  deviceNotSelected: 4,
  /** Device memory of another owner. */
  otherOwner: 5,
  /** A frame without a refcounted page, or device memory of a type that never migrates. */
  special: 6,
  /** Part of a huge page that can't be split. */
  huge: 7,
  /** The page has no mapping: truncated from its file. */
  noMapping: 8,
  /** The page is locked. */
  locked: 9,
  /** The page is under writeback. */
  writeback: 10,
  /** The page is pinned (FOLL_PIN), for DMA for instance. */
  pinned: 11,
  /** The page is not on an LRU list: isolated by another task, or being freed. */
  notOnLru: 12,
  /** The page could not be unmapped everywhere. */
  stillMapped: 13,
  /** The page has references beyond those of its mappings. */
  referenced: 14,
  /** An idle device page, which needs no migration. */
  idle: 15,
  /** The driver set no destination. */
  noDestination: 16,
  /** A file page: these don't migrate to devices. */
  file: 17,
  /** A page in the swap cache: these don't migrate to devices. @see df263d9a7dff: since 6.2 the slot is freed */
  swapCache: 18,
  /** The destination is of a memory type that isn't migratable. */
  badDestination: 19,
  /** The hole was filled meanwhile. */
  filled: 20,
  /** Charging the page failed, or there is no memory for a page table. */
  noMemory: 21,
} as const;
export type MigrateSkip = (typeof MigrateSkip)[keyof typeof MigrateSkip];

/** Tracepoint record of a page that stays. */
export interface MigrateVmaSkip {
  /** Index of its entry in the arrays. */
  readonly index: number;
  /** NULL_PAGE for a hole. */
  readonly page: Page;
  readonly reason: MigrateSkip;
  /** Name of the reason in MigrateSkip. */
  readonly why: string;
}

const NAMES = new Map<number, string>(Object.entries(MigrateSkip).map(([name, reason]) => [reason, name]));

/** The name of a reason: "pinned". */
export function migrateSkipName(reason: MigrateSkip): string {
  return NAMES.get(reason) ?? `reason ${reason}`;
}

/** The tracepoint that reports each page that stays. */
export function migrateVmaSkip(kernel: Kernel): Tracepoint<MigrateVmaSkip> {
  return kernel.trace.define("migrate", "migrate_vma_skip");
}
