// The second step: pages that are mapped elsewhere too are taken away from there, and those that somebody holds go back to
// where they were. What is left belongs to nobody but the migration, and has contents that nobody changes. Kernel
// counterpart: migrate_device_unmap() and migrate_vma_check_page() in mm/migrate_device.c.
import type { Page, Sleeps } from "@hetmem/kernel";
import { cacheReferences, pageMapped, tryToMigrate } from "@hetmem/mm";
import { NULL_PAGE } from "@hetmem/page";
import { DeviceKinds } from "./device-kinds.ts";
import { giveBack } from "./give-back.ts";
import { Found, MigratePfn } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";
import { holdAnonVma, inRuns, leave, type PageSet } from "./page-set.ts";

/** Entries that name a page which does not move: it goes back where it was. */
const MOVES = MigratePfn.valid | MigratePfn.migrate;

/** @returns how many pages move, holes among them */
export function* unmap(set: PageSet): Sleeps<number> {
  const kinds = new DeviceKinds(set.vm);
  yield* inRuns(
    set.npages,
    (from) => checkAlone(set, kinds, from),
    (i) => unmapElsewhere(set, kinds, i),
  );
  if (set.anyLeft)
    for (let i = nextLeft(set, 0); i < set.npages; i = nextLeft(set, i + 1)) yield* giveBack(set, i);
  return countMoving(set);
}

/** Pages from one on that no other entry can map: only who else holds them is looked at. @returns the first that may be mapped elsewhere */
function checkAlone(set: PageSet, kinds: DeviceKinds, from: number): number {
  const { src, npages, faultPage } = set;
  const { memmap } = set.vm;
  // What the last page said of where it is, and the references that the migration alone explains there.
  let word = 0;
  let references = 0;
  for (let i = from; i < npages; i++) {
    const flags = src[(i << 1) | 1] as number;
    if ((flags & MOVES) !== MOVES) continue;
    if ((flags & Found.alone) === 0) return i;
    const page = src[i << 1] as Page;
    if (memmap.pagemap(page) !== word) {
      word = memmap.pagemap(page);
      references = kinds.referencesOf(page);
    }
    // Nobody but the migration: which is how nearly every page was found, and how it still is.
    if (memmap.refcount(page) === references && page !== faultPage) continue;
    if (isHeld(set, kinds, page)) leave(set, i, MigrateSkip.referenced);
  }
  return npages;
}

/** The first page from one on that was left in place and names its page still. */
function nextLeft({ src, npages }: PageSet, from: number): number {
  let i = from;
  while (i < npages && ((src[(i << 1) | 1] as number) & MOVES) !== MigratePfn.valid) i++;
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

/** Whether somebody has a reference besides the migration, the cache that the page is in, and the fault. @see migrate_vma_check_page() */
function isHeld({ vm: { memmap }, faultPage }: PageSet, kinds: DeviceKinds, page: Page): boolean {
  const fault = page === faultPage && page !== NULL_PAGE ? 1 : 0;
  const explained =
    kinds.referencesOf(page) + fault + cacheReferences(memmap.flags(page), memmap.mapping(page));
  return memmap.refcount(page) > explained;
}
