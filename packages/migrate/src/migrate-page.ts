// The replacement of one unmapped page by another: in its file or the swap cache, with contents, flags and charge, in
// one atomic step. Kernel counterparts: folio_migrate_mapping(), folio_migrate_flags() and migrate_folio() in
// mm/migrate.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { moveNodeStat, type Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { describePage, PageFlag } from "@hetmem/page";
import { NodeStat, VmEvent, ZoneStat } from "@hetmem/zone";
import "./version.ts";

/** Flags copied to the new page, whatever kind of page it is. */
const COPIED: number =
  PageFlag.referenced |
  PageFlag.uptodate |
  PageFlag.active |
  PageFlag.workingset |
  PageFlag.dirty |
  PageFlag.reclaim |
  PageFlag.young |
  PageFlag.idle |
  PageFlag.swapbacked;
const UNMOVABLE = PageFlag.writeback | PageFlag.head | PageFlag.tail;
const NOT_SIMPLE = UNMOVABLE | PageFlag.swapcache | PageFlag.unevictable;
/**
 * Flags cleared on the old page before it is freed. An anonymous page stays dirty: freeing ignores the flag, and smaps
 * shows it for device memory.
 */
const CLEARED_ON_MIGRATE = PageFlag.active | PageFlag.unevictable;

/**
 * Replaces a small page by another, with its contents. Both are locked; the old one is unmapped and not under
 * writeback.
 *
 * @param extra references that the caller holds on the old page, besides that of its isolation
 * @returns false if the page has another reference (EAGAIN); nothing has changed then
 * @see migrate_folio_extra()
 */
export function migratePage(vm: Vm, from: Page, to: Page, extra: number): boolean {
  if (!migratePageNoCopy(vm, from, to, extra)) return false;
  vm.memmap.contents.copy(to, from);
  return true;
}

/** Does the same as migratePage(), without the contents, which a device has copied. @see MIGRATE_SYNC_NO_COPY */
export function migratePageNoCopy(vm: Vm, from: Page, to: Page, extra: number): boolean {
  const { memmap } = vm;
  const held = 1 + extra + cacheReferences(memmap.flags(from), memmap.mapping(from));
  if (memmap.refcount(from) !== held) return false;
  moveIdentity(vm, from, to);
  return true;
}

/**
 * Does the same as migratePageNoCopy(), for the common case: an anonymous page that is in no cache and not mlocked.
 *
 * @param references all references that the page must have
 * @returns false if it is another kind of page, or has another number of references; nothing has changed then
 */
export function migrateAnonymousNoCopy(vm: Vm, from: Page, to: Page, references: number): boolean {
  if (!vm.memmap.moves.inherit(from, to, NOT_SIMPLE, references, COPIED, CLEARED_ON_MIGRATE)) return false;
  vm.charging.migrate(from, to);
  return true;
}

/**
 * Number of references that the page cache or the swap cache holds on a page.
 *
 * @see folio_expected_refs()
 */
export function cacheReferences(flags: number, mapping: number): number {
  const ofFile = mapping !== 0 && (mapping & MAPPING_ANON) === 0;
  return ofFile || (flags & PageFlag.swapcache) !== 0 ? 1 : 0;
}

/**
 * Does the same as migratePageNoCopy(), without a check of references, which the caller has made.
 *
 * @throws KernelBug for a page under writeback or a compound page
 */
export function moveIdentity(vm: Vm, from: Page, to: Page): void {
  const { memmap } = vm;
  const flags = memmap.flags(from);
  if ((flags & UNMOVABLE) !== 0)
    throw new KernelBug(`migrated while it can't be: ${describePage(memmap, from)}`);
  const mapping = memmap.mapping(from);
  vm.charging.migrate(from, to);
  memmap.setMapping(to, mapping);
  memmap.setIndex(to, memmap.index(from));
  memmap.set(to, flags & COPIED);
  if ((flags & PageFlag.swapcache) !== 0) vm.swap.cache.replace(from, to);
  if ((mapping & MAPPING_ANON) === 0) replaceInFile(vm, from, to);
  if ((flags & CLEARED_ON_MIGRATE) !== 0) memmap.clear(from, CLEARED_ON_MIGRATE);
  // The new page becomes unevictable again when it is mapped, if its mapping is mlocked.
  if ((flags & PageFlag.unevictable) !== 0)
    vm.memory.allocator.countEvent(VmEvent.unevictable_pgs_rescued, 1);
}

/** Replaces a page in its file. @see folio_migrate_mapping() */
function replaceInFile(vm: Vm, from: Page, to: Page): void {
  const { memmap } = vm;
  const file = vm.mappings.of(memmap, from);
  if (!file) return;
  memmap.getPage(to);
  // The marks of the index (dirty, writeback) stay.
  file.pages.store(memmap.index(from), to);
  moveCounts(vm, file, from, to);
  memmap.setPrivate(to, memmap.private(from));
  memmap.setPrivate(from, 0);
  // A page without references must not have a file: a freed page with a mapping would count as part of the file.
  memmap.setMapping(from, 0);
  memmap.clear(from, PageFlag.dirty);
  memmap.putPage(from);
}

function moveCounts(vm: Vm, file: AddressSpace, from: Page, to: Page): void {
  const { memmap } = vm;
  const { allocator } = vm.memory;
  const [oldZone, newZone] = [allocator.zoneOf(from), allocator.zoneOf(to)];
  if (oldZone === newZone) return;
  moveNodeStat(vm, from, to, NodeStat.nr_file_pages);
  if (memmap.test(from, PageFlag.swapbacked)) moveNodeStat(vm, from, to, NodeStat.nr_shmem);
  if (!memmap.test(from, PageFlag.dirty) || !file.ops.canWriteback) return;
  moveNodeStat(vm, from, to, NodeStat.nr_dirty);
  const item = ZoneStat.nr_zone_write_pending;
  oldZone.stat[item] = (oldZone.stat[item] as number) - 1;
  newZone.stat[item] = (newZone.stat[item] as number) + 1;
}
