// Collects one page outside of the fast path: a shared or file page, one in a locked mapping, or one with extra
// references. A page that can't be isolated stays mapped, and its source entry holds the reason. Kernel counterpart:
// the second half of the loop of migrate_vma_collect_pmd() in mm/migrate_device.c.
import type { Page } from "@hetmem/kernel";
import { trylockPage, unlockPage } from "@hetmem/mm";
import { setPageDirty } from "@hetmem/mm/file";
import { MAPPING_ANON, pageRemoveRmap, pageTryShareAnonRmap, removeMigrationPte } from "@hetmem/mm/rmap";
import { munlockVmaPage } from "@hetmem/mm/vma";
import { PageFlag } from "@hetmem/page";
import { CARRIED_BITS, EntryKind, entryKind, Pte } from "@hetmem/page-table";
import type { Collector } from "./collect.ts";
import { DeviceKind } from "./device-kinds.ts";
import { Found, MigratePfn } from "./migrate-pfn.ts";
import { MigrateSkip } from "./migrate-skip.ts";

/**
 * Locks and isolates a page, and replaces its entry by a migration entry, if possible.
 *
 * @param at index of its source entry's first word
 */
export function collectPage(collector: Collector, entry: number, page: Page, at: number): void {
  const { vma, vm } = collector;
  const { memmap } = vm;
  const { pageTable } = vma.mm;
  const obstacle = inTheWay(collector, page);
  if (obstacle !== MigrateSkip.none) return collector.skip(at, obstacle, page);
  const flags = pageTable.flags(entry);
  memmap.getPage(page);
  trylockPage(memmap, page);
  const exclusive = isAnon(collector, page) && memmap.test(page, PageFlag.anonExclusive);
  if (exclusive && !pageTryShareAnonRmap(vm, page)) return giveUp(collector, page, at, MigrateSkip.pinned);
  if ((flags & (Pte.present | Pte.dirty)) === (Pte.present | Pte.dirty)) setPageDirty(vm, page);
  const writes = (flags & Pte.present) !== 0 ? (flags & Pte.write) !== 0 : isWritablePrivate(flags);
  pageTable.set(entry, page, migrationKind(writes, exclusive) | (flags & CARRIED_BITS));
  pageRemoveRmap(vm, page);
  munlockVmaPage(page, vma);
  memmap.putPage(page);
  if (collector.kinds.of(page) === DeviceKind.none) {
    if (!vm.lru.isolate(page)) {
      removeMigrationPte(vma, pageTable.addressOf(entry), entry, page);
      return giveUp(collector, page, at, MigrateSkip.notOnLru);
    }
    // The isolation's reference replaces ours.
    memmap.putPage(page);
  }
  const exclusivelyMapped = memmap.mapcount(page) === 0 ? Found.exclusivelyMapped : 0;
  collector.taken(at, page, exclusivelyMapped | (writes ? MigratePfn.write : 0));
}

/** The migration entry for a page: it keeps whether the entry before allowed writes, and whether the page was exclusive. */
export function migrationKind(writes: boolean, exclusive: boolean): EntryKind {
  if (writes) return EntryKind.migrationWrite;
  return exclusive ? EntryKind.migrationReadExclusive : EntryKind.migrationRead;
}

function inTheWay({ vm: { memmap } }: Collector, page: Page): MigrateSkip {
  const state = memmap.flags(page);
  if ((state & (PageFlag.head | PageFlag.tail)) !== 0) return MigrateSkip.huge;
  if (memmap.mapping(page) === 0) return MigrateSkip.noMapping;
  if ((state & PageFlag.locked) !== 0) return MigrateSkip.locked;
  // The kernel detects writeback only in a BUG_ON, after unmapping. @see the BUG_ON in migrate_folio_extra()
  return (state & PageFlag.writeback) !== 0 ? MigrateSkip.writeback : MigrateSkip.none;
}

/** Unlocks and puts a page that is still mapped, or mapped again. */
function giveUp(collector: Collector, page: Page, at: number, reason: MigrateSkip): void {
  const { memmap } = collector.vm;
  unlockPage(memmap, page);
  memmap.putPage(page);
  collector.skip(at, reason, page);
}

function isAnon({ vm: { memmap } }: Collector, page: Page): boolean {
  return (memmap.mapping(page) & MAPPING_ANON) !== 0;
}

function isWritablePrivate(flags: number): boolean {
  return entryKind(flags) === EntryKind.devicePrivateWrite;
}
