// Replacing every entry of a page by a migration entry. An access to the page sleeps until the migration has ended.
// The migration entry keeps access, dirty and soft-dirty bits. A huge entry is split first. Kernel counterpart:
// try_to_migrate() in mm/rmap.c.
import { KernelBug, type Page, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  invalidateRangeEnd,
  invalidateRangeStart,
  type MmuNotifierRange,
  MmuNotifyEvent,
} from "@hetmem/mmu-notifier";
import { describePage, PageFlag } from "@hetmem/page";
import { CARRIED_BITS, EntryKind, entryKind, isDevicePrivate, NO_ENTRY, Pte } from "@hetmem/page-table";
import { setPageDirty } from "../file/dirty.ts";
import { splitHugePmdCovered } from "../huge/split-pmd.ts";
import { rssKind } from "../unmap/zap.ts";
import type { Vm } from "../vm.ts";
import { munlockVmaPage } from "../vma/mlock-page.ts";
import type { Vma } from "../vma/vma.ts";
import { pageTryShareAnonRmap } from "./anon-exclusive.ts";
import { MAPPING_ANON } from "./anon-vma.ts";
import { pageRemoveRmap } from "./map-counts.ts";
import { hugeEntry, inMapping, mappedEntry, pageMapped } from "./mapped-entry.ts";
import { rmapWalk, unitPages } from "./rmap-walk.ts";

/**
 * Unmaps a page, or all parts of a compound page. The caller has it locked and holds a reference, also on its
 * anon_vma, which may otherwise go while no entry maps the page. An exclusive pinned page stays mapped;
 * removeMigrationPtes(vm, page, page) restores the entries that were replaced before.
 *
 * @returns whether no entry maps the page any more
 * @see try_to_migrate()
 */
export function* tryToMigrate(vm: Vm, page: Page): Sleeps<boolean> {
  const head = vm.memmap.compoundHead(page);
  if (!pageMapped(vm, head)) return true;
  yield* rmapWalk(vm, head, function* (vma, address) {
    return (yield* migrateOne(vma, address, head)) && pageMapped(vm, head);
  });
  return !pageMapped(vm, head);
}

/**
 * Unmaps the page from one mapping.
 *
 * @returns false when the page has to stay mapped
 * @see try_to_migrate_one()
 */
function* migrateOne(vma: Vma, address: VirtAddr, head: Page): Sleeps<boolean> {
  const { mm } = vma;
  const pages = unitPages(mm.vm, head);
  const start = Math.max(vma.start, address) as VirtAddr;
  const end = Math.min(vma.end, address + pages * 4096) as VirtAddr;
  const range: MmuNotifierRange = { mm, start, end, event: MmuNotifyEvent.Clear };
  yield* invalidateRangeStart(range);
  const moves = migrateEntries(vma, address, head, pages);
  yield* invalidateRangeEnd(range);
  return moves;
}

function migrateEntries(vma: Vma, address: VirtAddr, head: Page, pages: number): boolean {
  const { pageTable } = vma.mm;
  const whole = pages > 1 ? hugeEntry(pageTable, address, head) : NO_ENTRY;
  if (whole !== NO_ENTRY) splitHugePmdCovered(vma, whole);
  for (let i = 0; i < pages; i++) {
    const at = (address + i * 4096) as VirtAddr;
    if (!inMapping(vma, at)) continue;
    const entry = mappedEntry(pageTable, at, (head + i) as Page);
    if (entry !== NO_ENTRY && !migrateEntry(vma, entry, (head + i) as Page, head)) return false;
  }
  return true;
}

/** Replaces one entry. @returns false when the page is pinned, and then the entry is unchanged */
function migrateEntry(vma: Vma, entry: number, page: Page, head: Page): boolean {
  const { mm } = vma;
  const { vm, pageTable } = mm;
  const { memmap } = vm;
  const flags = pageTable.flags(entry);
  const exclusive = memmap.test(page, PageFlag.anonExclusive) && (memmap.mapping(head) & MAPPING_ANON) !== 0;
  if (exclusive && !pageTryShareAnonRmap(vm, page)) return false;
  if ((flags & Pte.dirty) !== 0) setPageDirty(vm, head);
  mm.updateHiwaterRss();
  if (memmap.test(page, PageFlag.hwpoison)) {
    const kind = rssKind(mm, head);
    mm.rss[kind] = (mm.rss[kind] as number) - 1;
    pageTable.set(entry, page, EntryKind.hwpoison);
  } else {
    const kind = migrationKind(vm, page, flags, exclusive);
    pageTable.set(entry, page, kind | (flags & CARRIED_BITS));
  }
  pageRemoveRmap(vm, page);
  munlockVmaPage(page, vma);
  memmap.putPage(head);
  return true;
}

/** The kind of migration entry. @throws KernelBug for a writable entry of a shared anonymous page */
function migrationKind(vm: Vm, page: Page, flags: number, exclusive: boolean): EntryKind {
  const writable = isDevicePrivate(flags)
    ? entryKind(flags) === EntryKind.devicePrivateWrite
    : (flags & Pte.write) !== 0;
  if (!writable) return exclusive ? EntryKind.migrationReadExclusive : EntryKind.migrationRead;
  const head = vm.memmap.compoundHead(page);
  if (!exclusive && (vm.memmap.mapping(head) & MAPPING_ANON) !== 0)
    throw new KernelBug(`an entry may write to what others see: ${describePage(vm.memmap, page)}`);
  return EntryKind.migrationWrite;
}
