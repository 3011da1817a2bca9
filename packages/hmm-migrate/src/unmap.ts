// The end of setup: unmaps pages that other entries map too, and restores pages with extra references. The remaining
// pages are referenced by the migration only, so their contents can't change. Kernel counterpart:
// migrate_device_unmap() and migrate_vma_check_page() in mm/migrate_device.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { cacheReferences } from "@hetmem/migrate";
import { pageMapped, tryToMigrate } from "@hetmem/mm/rmap";
import { NULL_PAGE } from "@hetmem/page";
import { DeviceKinds } from "./device-kinds.ts";
import { giveBack } from "./give-back.ts";
import { Found, MigratePfn } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { holdAnonVma, inRuns, leave, type PageSet } from "./page-set.ts";

/** Bits of an entry whose page migrates. A page that must be restored has `valid` without `migrate`. */
const VALID_MIGRATE = MigratePfn.valid | MigratePfn.migrate;

/** @returns the number of pages that migrate and holes that are filled */
export function* unmap(set: PageSet): Sleeps<number> {
  const kinds = new DeviceKinds(set.vm);
  yield* inRuns(
    set.npages,
    (from) => checkExclusive(set, kinds, from),
    (i) => unmapElsewhere(set, kinds, i),
  );
  if (set.anyLeft)
    for (let i = nextLeft(set, 0); i < set.npages; i = nextLeft(set, i + 1)) yield* giveBack(set, i);
  return countMoving(set);
}

/**
 * Checks the references of exclusively mapped pages from index `from` on.
 *
 * @returns the index of the first page that may be mapped elsewhere
 */
function checkExclusive(set: PageSet, kinds: DeviceKinds, from: number): number {
  const { src, npages, faultPage } = set;
  const { memmap } = set.vm;
  // Pagemap word of the last page, and the expected refcount derived from it.
  let word = 0;
  let references = 0;
  for (let i = from; i < npages; i++) {
    const flags = src[(i << 1) | 1] as number;
    if ((flags & VALID_MIGRATE) !== VALID_MIGRATE) continue;
    if ((flags & Found.exclusivelyMapped) === 0) return i;
    const page = src[i << 1] as Page;
    if (memmap.pagemap(page) !== word) {
      word = memmap.pagemap(page);
      references = kinds.referencesOf(page);
    }
    // Only the migration holds a reference: true for nearly every page.
    if (memmap.refcount(page) === references && page !== faultPage) continue;
    if (isHeld(set, kinds, page)) leave(set, i, MigrateSkip.referenced);
  }
  return npages;
}

/** Index of the first entry from `from` on whose page must be restored. */
function nextLeft({ src, npages }: PageSet, from: number): number {
  let i = from;
  while (i < npages && ((src[(i << 1) | 1] as number) & VALID_MIGRATE) !== MigratePfn.valid) i++;
  return i;
}

function countMoving({ src, npages }: PageSet): number {
  let moving = 0;
  for (let i = 0; i < npages; i++) if (((src[(i << 1) | 1] as number) & MigratePfn.migrate) !== 0) moving++;
  return moving;
}

function* unmapElsewhere(set: PageSet, kinds: DeviceKinds, i: number): Sleeps<void> {
  const { vm, src } = set;
  const page = src[i << 1] as Page;
  if (pageMapped(vm, page)) {
    holdAnonVma(set, i);
    yield* tryToMigrate(vm, page);
  }
  if (pageMapped(vm, page)) leave(set, i, MigrateSkip.stillMapped);
  else if (isHeld(set, kinds, page)) leave(set, i, MigrateSkip.referenced);
}

/**
 * Whether the page has references beyond those of the migration, the page or swap cache, and the fault.
 *
 * @see migrate_vma_check_page()
 */
function isHeld({ vm: { memmap }, faultPage }: PageSet, kinds: DeviceKinds, page: Page): boolean {
  const fault = page === faultPage && page !== NULL_PAGE ? 1 : 0;
  const explained =
    kinds.referencesOf(page) + fault + cacheReferences(memmap.flags(page), memmap.mapping(page));
  return memmap.refcount(page) > explained;
}
