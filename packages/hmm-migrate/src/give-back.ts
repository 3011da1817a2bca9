// Restores a page: its migration entries map it, or its replacement, again; it is unlocked, and returns to its LRU
// list or is freed. Kernel counterpart: the loops at the end of migrate_device_unmap() and of
// migrate_device_finalize() in mm/migrate_device.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { unlockPage, type Vma } from "@hetmem/mm";
import { removeMigrationPte, removeMigrationPtes } from "@hetmem/mm/rmap";
import { PageFlag } from "@hetmem/page";
import { isMigration, NO_ENTRY } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import { Found } from "./migrate-pfn.ts";
import { heldAnonVma, type PageSet } from "./page-set.ts";

/** Restores the page of a source entry. The entry keeps the reason only. */
export function* giveBack(set: PageSet, i: number): Sleeps<void> {
  const { src } = set;
  const at = i << 1;
  const page = src[at] as Page;
  yield* mapAgain(set, i, page);
  release(set, page);
  src[at] = 0;
  src[at | 1] = (src[at | 1] as number) & ~0xff;
}

/** Replaces all migration entries of a source page by mappings of `to`, which may be the same page. Both are locked. */
export function* mapAgain(set: PageSet, i: number, to: Page): Sleeps<void> {
  const { vm, src, vma, start } = set;
  const at = i << 1;
  const from = src[at] as Page;
  if (vma !== undefined && ((src[at | 1] as number) & Found.exclusivelyMapped) !== 0) {
    mapExclusive(vma, (start + i * 4096) as VirtAddr, from, to);
    return;
  }
  const anonVma = heldAnonVma(set, i);
  yield* removeMigrationPtes(vm, from, to);
  if (anonVma) vm.anonVmas.put(anonVma);
}

/** Replaces the migration entry of an exclusively mapped page, unless it has been unmapped since. */
function mapExclusive(vma: Vma, address: VirtAddr, from: Page, to: Page): void {
  const { pageTable } = vma.mm;
  const entry = pageTable.find(address);
  if (entry === NO_ENTRY || pageTable.value(entry) !== from || !isMigration(pageTable.flags(entry))) return;
  removeMigrationPte(vma, address, entry, to);
}

/** Unlocks a page that stays, and puts it back to its LRU list or drops the migration's reference. */
function release({ vm }: PageSet, page: Page): void {
  const { memmap, lru } = vm;
  unlockPage(memmap, page);
  // A page that was unmapped meanwhile is freed by this put.
  if (memmap.test(page, PageFlag.isolated)) lru.putback(page);
  else memmap.putPage(page);
}

/** Whether a page is a device page, which is never on an LRU list. */
export function isDevices({ vm: { memmap } }: PageSet, page: Page): boolean {
  return memmap.zoneOf(page) === ZoneType.Device;
}
