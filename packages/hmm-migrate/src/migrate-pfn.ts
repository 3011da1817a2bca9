// What a driver and a migration tell each other about each page: a page, and flags. An array of them is one Int32Array
// with two words an entry, like a page table. Where a page is left in place, its entry of the source array names no page
// and says why. Kernel counterpart: MIGRATE_PFN_VALID and its kin in include/linux/migrate.h.
import type { Page } from "@hetmem/kernel";
import type { MigrateSkip } from "./migrate-skip.ts";

/** Bits of the flags word. */
export const MigratePfn = {
  /** The first word is a page. */
  valid: 1 << 0,
  /** Source: the page moves, or the hole is filled. A driver may clear it; the page stays then. */
  migrate: 1 << 1,
  /** The page is locked: all of the source array that move are, and all of the destination array must be. @see ab09243aa95a: implied since 5.17 */
  locked: 1 << 2,
  /** Source: the process may write to it. */
  write: 1 << 3,
} as const;

/** Bits of the flags word of a source entry that are the migration's own. */
export const Found = {
  /** Only the entry at its address mapped it, so that nobody has to look for others. */
  alone: 1 << 4,
  /** Its anon_vma is held until it is mapped again. */
  anonVma: 1 << 5,
} as const;

/** What is moved by migrateVmaSetup(). @see enum migrate_vma_direction */
export const MigrateVmaSelect = {
  /** RAM, holes and the zero page. */
  system: 1 << 0,
  /** Private pages of the owner. */
  devicePrivate: 1 << 1,
  /** Coherent pages of the owner; public ones on a kernel that has those. */
  deviceCoherent: 1 << 2,
} as const;

/** The pgmapOwner that selects device memory of every owner, as in kernels whose pagemaps had none. @see 800bb1c8dc80 */
export const ANY_OWNER: unique symbol = Symbol("any owner");

const SKIP_SHIFT = 8;
const SKIP_MASK = 0xff;

/** An array for so many pages, all of them zero. */
export function createMigratePfns(pages: number): Int32Array {
  return new Int32Array(pages * 2);
}

/** The page of an entry, NULL_PAGE when it has none. @see migrate_pfn_to_page() */
export function migratePfnToPage(pfns: Int32Array, i: number): Page {
  return pfns[i << 1] as Page;
}

/** MigratePfn bits of an entry, and more above them. */
export function migratePfnFlags(pfns: Int32Array, i: number): number {
  return pfns[(i << 1) | 1] as number;
}

/** Whether the page of a source entry moves, or its hole is filled. */
export function migrates(src: Int32Array, i: number): boolean {
  return ((src[(i << 1) | 1] as number) & MigratePfn.migrate) !== 0;
}

/** Names the destination of a page, which the driver has locked and holds a reference on. @see migrate_pfn() */
export function setMigrateDst(dst: Int32Array, i: number, page: Page): void {
  dst[i << 1] = page;
  dst[(i << 1) | 1] = MigratePfn.valid | MigratePfn.locked;
}

/** The page of a source entry stays, though it was to move: a driver's way to take its consent back. */
export function keepInPlace(src: Int32Array, i: number): void {
  src[(i << 1) | 1] = (src[(i << 1) | 1] as number) & ~MigratePfn.migrate;
}

/** Why the page of a source entry was left in place; MigrateSkip.none when it wasn't, or the driver wanted it so. */
export function migrateSkipReason(src: Int32Array, i: number): MigrateSkip {
  return (((src[(i << 1) | 1] as number) >>> SKIP_SHIFT) & SKIP_MASK) as MigrateSkip;
}

/** The bits of a flags word that say why. */
export function skipBits(reason: MigrateSkip): number {
  return reason << SKIP_SHIFT;
}
