// A migration has ended: entries that stand for the page map it again, where it is now or where it was. A mapping that
// allows less by now gets less. Kernel counterpart: remove_migration_ptes() in mm/migrate.c.
import type { Page, Sleeps, VirtAddr } from "@hetmem/kernel";
import { PageFlag } from "@hetmem/page";
import { CARRIED_BITS, EntryKind, entryKind, NO_ENTRY, Pte } from "@hetmem/page-table";
import { ZoneType } from "@hetmem/zone";
import type { Vm } from "../vm.ts";
import { isAccessible, VmFlag } from "../vma/vm-flags.ts";
import type { Vma } from "../vma/vma.ts";
import { MAPPING_ANON } from "./anon-vma.ts";
import { pageAddAnonRmap, pageAddFileRmap } from "./map-counts.ts";
import { inMapping, migrationEntry } from "./mapped-entry.ts";
import { rmapWalk, unitPages } from "./rmap-walk.ts";

/**
 * Makes the migration entries that name a page, or the parts of a compound page, map another one of the same size; both
 * may be the same. The caller holds `to` locked, and its anon_vma.
 *
 * @see remove_migration_ptes()
 */
export function* removeMigrationPtes(vm: Vm, from: Page, to: Page): Sleeps<void> {
  const pages = unitPages(vm, to);
  yield* rmapWalk(vm, to, function* (vma, address) {
    for (let i = 0; i < pages; i++) {
      const at = (address + i * 4096) as VirtAddr;
      if (!inMapping(vma, at)) continue;
      const entry = migrationEntry(vma.mm.pageTable, at, (from + i) as Page);
      if (entry !== NO_ENTRY) removeMigrationPte(vma, at, entry, (to + i) as Page);
    }
    return true;
  });
}

/** One migration entry maps a page again. @see remove_migration_pte() */
export function removeMigrationPte(vma: Vma, address: VirtAddr, entry: number, page: Page): void {
  const { pageTable, vm } = vma.mm;
  const { memmap } = vm;
  const head = memmap.compoundHead(page);
  const flags = pageTable.flags(entry);
  memmap.getPage(head);
  pageTable.set(entry, page, flagsOnArrival(vm, vma, flags, page, head));
  if ((memmap.mapping(head) & MAPPING_ANON) === 0) {
    pageAddFileRmap(vm, page, vma);
    return;
  }
  pageAddAnonRmap(vm, page, vma, address);
  if (entryKind(flags) !== EntryKind.migrationRead) memmap.set(page, PageFlag.anonExclusive);
}

/** Flags of the entry for the page, which may have come to a device that alone can reach it. */
function flagsOnArrival(vm: Vm, vma: Vma, flags: number, page: Page, head: Page): number {
  const writable = entryKind(flags) === EntryKind.migrationWrite && (vma.flags & VmFlag.WRITE) !== 0;
  if (vm.memmap.zoneOf(page) === ZoneType.Device && vm.devices.isPrivate(page))
    return (flags & Pte.softDirty) | (writable ? EntryKind.devicePrivateWrite : EntryKind.devicePrivateRead);
  return presentAfterMigration(
    vma,
    writable,
    vm.memmap.test(head, PageFlag.dirty) ? flags : flags & ~Pte.dirty,
  );
}

/**
 * Flags of an entry that maps a page once more.
 *
 * @param noted what it had noted before: accessed, dirty and soft-dirty are kept
 */
export function presentAfterMigration(vma: Vma, writable: boolean, noted: number): number {
  const reach = isAccessible(vma.flags) ? Pte.present : Pte.present | Pte.protnone;
  return reach | (noted & CARRIED_BITS) | (writable ? Pte.write : 0);
}
