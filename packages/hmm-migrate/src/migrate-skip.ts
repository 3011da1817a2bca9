// Why a page was left in place. Partial success is normal: each page moves or stays by itself, and the kernel doesn't say
// which of a dozen reasons kept one. Here its source entry does, and so does a tracepoint.
import type { Kernel, Page, Tracepoint } from "@hetmem/kernel";

/** In the flags of a source entry: see migrateSkipReason(). */
export const MigrateSkip = {
  none: 0,
  /** A hole in a mapping of a file: only anonymous memory is filled. */
  hole: 1,
  /** It is in swap, on its way elsewhere, a device's alone, or bad. */
  notPresent: 2,
  /** It is RAM, and only device memory is to move. */
  systemNotSelected: 3,
  /** It is a device's, of a kind that is not to move. */
  deviceNotSelected: 4,
  /** It is of another owner's device. */
  otherOwner: 5,
  /** A frame that nobody counts, or device memory of a kind that never moves. */
  special: 6,
  /** Part of a huge page that can't be divided now. */
  huge: 7,
  /** It was cut off its file. */
  noMapping: 8,
  /** Somebody has locked it. */
  locked: 9,
  /** It is being written back. */
  writeback: 10,
  /** Somebody reads or writes it by its physical address. */
  pinned: 11,
  /** It is on no LRU list: somebody else moves, reclaims or frees it. */
  notOnLru: 12,
  /** Another mapping of it can't give it up. */
  stillMapped: 13,
  /** Somebody holds a reference that no mapping explains. */
  referenced: 14,
  /** Nobody uses it: it needs no migration. */
  idle: 15,
  /** The driver offered no page for it. */
  noDestination: 16,
  /** Pages of files don't go to devices. */
  file: 17,
  /** Neither do pages that have a swap slot. @see df263d9a7dff: since 6.2 the slot is given up */
  swapCache: 18,
  /** The page that the driver offers is of a kind of memory that nothing moves to. */
  badDestination: 19,
  /** Somebody filled the hole meanwhile. */
  filled: 20,
  /** Nobody pays for a page in the hole, or there is no memory for a page table. */
  noMemory: 21,
} as const;
export type MigrateSkip = (typeof MigrateSkip)[keyof typeof MigrateSkip];

/** A page that stays where it is. */
export interface MigrateVmaSkip {
  /** Its entry of the arrays. */
  readonly index: number;
  /** NULL_PAGE for a hole. */
  readonly page: Page;
  readonly reason: MigrateSkip;
  /** Its name among MigrateSkip's. */
  readonly why: string;
}

const NAMES = new Map<number, string>(Object.entries(MigrateSkip).map(([name, reason]) => [reason, name]));

/** The name of a reason: "pinned". */
export function migrateSkipName(reason: MigrateSkip): string {
  return NAMES.get(reason) ?? `reason ${reason}`;
}

/** Tells of each page that is left in place. */
export function migrateVmaSkip(kernel: Kernel): Tracepoint<MigrateVmaSkip> {
  return kernel.trace.define("migrate", "migrate_vma_skip");
}
