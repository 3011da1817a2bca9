// The end of a migration: migration entries are replaced by entries that map the page, at its new place or, after a
// failure, at its old one. The access bits are those that the mapping allows now. Kernel counterpart:
// remove_migration_ptes() in mm/migrate.c.
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
 * Replaces the migration entries of a page, or of the parts of a compound page, by entries that map another page of
 * the same size. The caller has `to` locked, and holds a reference on its anon_vma.
 *
 * @param from the page that the migration entries name
 * @param to the page that is mapped; may be the same
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

/** Replaces one migration entry. @see remove_migration_pte() */
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

/** Flags of the new entry: a device-private entry if the page is on a device, otherwise a present one. */
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
 * Flags of an entry that maps a page again.
 *
 * @param writable whether the entry may be written
 * @param noted flags of the replaced entry: accessed, dirty and soft-dirty are kept
 * @returns Pte bits
 */
export function presentAfterMigration(vma: Vma, writable: boolean, noted: number): number {
  const reach = isAccessible(vma.flags) ? Pte.present : Pte.present | Pte.protnone;
  return reach | (noted & CARRIED_BITS) | (writable ? Pte.write : 0);
}
