// A page ends where it is: entries that stand for it map it again, or its successor; its lock goes, and it returns to its
// list, or to whoever frees it. Kernel counterpart: the loops at the end of migrate_device_unmap() and of
// migrate_device_finalize() in mm/migrate_device.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import {
  isMigration,
  NO_ENTRY,
  removeMigrationPte,
  removeMigrationPtes,
  unlockPage,
  type Vma,
} from "@hetmem/mm";
import { PageFlag } from "@hetmem/page";
import { ZoneType } from "@hetmem/zone";
import { Found } from "./migrate-pfn.ts";
import { heldAnonVma, type PageSet } from "./page-set.ts";

/** The page of a source entry stays; the entry forgets it, and keeps the reason. */
export function* giveBack(set: PageSet, i: number): Sleeps<void> {
  const { src } = set;
  const at = i << 1;
  const page = src[at] as Page;
  yield* mapAgain(set, i, page);
  release(set, page);
  src[at] = 0;
  src[at | 1] = (src[at | 1] as number) & ~0xff;
}

/** Entries that stand for the page of a source entry map another, or the same. Both are locked. */
export function* mapAgain(set: PageSet, i: number, to: Page): Sleeps<void> {
  const { vm, src, vma, start } = set;
  const at = i << 1;
  const from = src[at] as Page;
  if (vma !== undefined && ((src[at | 1] as number) & Found.alone) !== 0) {
    mapAlone(vma, (start + i * 4096) as VirtAddr, from, to);
    return;
  }
  const anonVma = heldAnonVma(set, i);
  yield* removeMigrationPtes(vm, from, to);
  if (anonVma) vm.anonVmas.put(anonVma);
}

/** The page was mapped here only. What stood for it may have been unmapped since. */
export function mapAlone(vma: Vma, address: VirtAddr, from: Page, to: Page): void {
  const { pageTable } = vma.mm;
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== from || !isMigration(pageTable.flags(entry))) return;
  removeMigrationPte(vma, address, entry, to);
}

/** A page that was taken, and stays, is nobody's any more. */
export function release({ vm }: PageSet, page: Page): void {
  const { memmap, lru } = vm;
  unlockPage(memmap, page);
  // One that everybody has let go of meanwhile is freed with this reference.
  if (memmap.test(page, PageFlag.isolated)) lru.putback(page);
  else memmap.putPage(page);
}

/** Whether a page is on no list because it is of a device. */
export function isDevices({ vm: { memmap } }: PageSet, page: Page): boolean {
  return memmap.zoneOf(page) === ZoneType.Device;
}
