// Entries of the source and destination arrays: a page, and flags. An array is one Int32Array with two words per
// entry, as in a page table. The source entry of a page that stays has no page and holds the reason. Kernel
// counterpart: MIGRATE_PFN_VALID and its kin in include/linux/migrate.h.
import type { Page } from "@hetmem/kernel";
import type { MigrateSkip } from "./migrate-skip.ts";
import "./version.ts";

/** Bits of the flags word. */
export const MigratePfn = {
  /** The first word is a page. */
  valid: 1 << 0,
  /** Source: the page migrates, or the hole is filled. A driver may clear the bit to leave the page. */
  migrate: 1 << 1,
  /**
   * The page is locked: set for all migrating pages of the source array, required for all pages of the destination
   * array.
   *
   * @see ab09243aa95a: implied since 5.17
   */
  locked: 1 << 2,
  /** Source: the entry was writable. */
  write: 1 << 3,
} as const;

/** Private bits of a source entry's flags word. */
export const Found = {
  /** Only the entry at its address mapped the page, so no rmap walk is needed. */
  exclusivelyMapped: 1 << 4,
  /** A reference on the page's anon_vma is held until the page is mapped again. */
  anonVma: 1 << 5,
} as const;

/** The kinds of memory that migrateVmaSetup() collects. @see enum migrate_vma_direction */
export const MigrateVmaSelect = {
  /** RAM, holes and the zero page. */
  system: 1 << 0,
  /** Private pages of the owner. */
  devicePrivate: 1 << 1,
  /** Coherent pages of the owner; public pages in releases with public device memory. */
  deviceCoherent: 1 << 2,
} as const;

/** The pgmapOwner that selects device memory of every owner, as in kernels whose pagemaps had none. @see 800bb1c8dc80 */
export const ANY_OWNER: unique symbol = Symbol.for("hetmem.anyOwner");

const SKIP_SHIFT = 8;
const SKIP_MASK = 0xff;

/** A zeroed array of `pages` entries. */
export function createMigratePfns(pages: number): Int32Array {
  return new Int32Array(pages * 2);
}

/** The page of an entry; NULL_PAGE for none. @see migrate_pfn_to_page() */
export function migratePfnToPage(pfns: Int32Array, i: number): Page {
  return pfns[i << 1] as Page;
}

/** The flags word of an entry: MigratePfn bits, and private bits above them. */
export function migratePfnFlags(pfns: Int32Array, i: number): number {
  return pfns[(i << 1) | 1] as number;
}

/** Whether the page of a source entry migrates, or its hole is filled. */
export function migrates(src: Int32Array, i: number): boolean {
  return ((src[(i << 1) | 1] as number) & MigratePfn.migrate) !== 0;
}

/** Sets the destination of a page. The driver must have locked it and hold a reference. @see migrate_pfn() */
export function setMigrateDst(dst: Int32Array, i: number, page: Page): void {
  dst[i << 1] = page;
  dst[(i << 1) | 1] = MigratePfn.valid | MigratePfn.locked;
}

/** Leaves the page of a source entry in place: clears MigratePfn.migrate. */
export function keepInPlace(src: Int32Array, i: number): void {
  src[(i << 1) | 1] = (src[(i << 1) | 1] as number) & ~MigratePfn.migrate;
}

/**
 * The reason why the page of a source entry stayed; MigrateSkip.none if it migrated or the driver called
 * keepInPlace().
 */
export function migrateSkipReason(src: Int32Array, i: number): MigrateSkip {
  return (((src[(i << 1) | 1] as number) >>> SKIP_SHIFT) & SKIP_MASK) as MigrateSkip;
}

/** A reason as bits of a flags word. */
export function skipBits(reason: MigrateSkip): number {
  return reason << SKIP_SHIFT;
}
