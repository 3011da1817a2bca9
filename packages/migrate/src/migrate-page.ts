// One page takes the place of another that no entry maps: in its file or in the swap cache, with what is written in it,
// its flags and its charge. All of it is one step. Kernel counterparts: folio_migrate_mapping(), folio_migrate_flags()
// and migrate_folio() in mm/migrate.c.
import { KernelBug, type Page } from "@hetmem/kernel";
import { moveNodeStat, type Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { MAPPING_ANON } from "@hetmem/mm/rmap";
import { describePage, PageFlag } from "@hetmem/page";
import { NodeStat, VmEvent, ZoneStat } from "@hetmem/zone";

/** What goes along whatever the page is of. */
export const COPIED: number =
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
const NOT_SIMPLE = UNMOVABLE | PageFlag.swapcache | PageFlag.unevictable | PageFlag.private;
/** What the old page must not have any more when it is freed. An anonymous one stays dirty: nobody minds, and smaps tells of a device's. */
const TAKEN = PageFlag.active | PageFlag.unevictable | PageFlag.private;

/**
 * Moves everything from one small page to another; both are locked, and the old one is mapped by nobody and not being
 * written.
 *
 * @param extra references that the caller holds on the old page besides the one for its isolation
 * @returns false when somebody else holds a reference, and nothing has changed: EAGAIN
 * @see migrate_folio_extra()
 */
export function migratePage(vm: Vm, from: Page, to: Page, extra: number): boolean {
  if (!migratePageNoCopy(vm, from, to, extra)) return false;
  vm.memmap.contents.copy(to, from);
  return true;
}

/** The same but for what is written in the page: a device has copied that. @see MIGRATE_SYNC_NO_COPY */
export function migratePageNoCopy(vm: Vm, from: Page, to: Page, extra: number): boolean {
  const { memmap } = vm;
  const held = 1 + extra + cacheReferences(memmap.flags(from), memmap.mapping(from));
  if (memmap.refcount(from) !== held) return false;
  moveIdentity(vm, from, to);
  return true;
}

/**
 * The same for the page that nearly every page is: anonymous, in no cache, not locked in memory.
 *
 * @param references that it must have in all
 * @returns false when it is something else, or held by somebody else, and nothing has changed
 */
export function migrateAnonymousNoCopy(vm: Vm, from: Page, to: Page, references: number): boolean {
  if (!vm.memmap.moves.inherit(from, to, NOT_SIMPLE, references, COPIED, TAKEN)) return false;
  vm.charging.migrate(from, to);
  return true;
}

/** References on a page by the cache that it is in, and by a file system for what it keeps with it. @see folio_expected_refs() */
export function cacheReferences(flags: number, mapping: number): number {
  const cached = (flags & PageFlag.swapcache) !== 0 || (mapping !== 0 && (mapping & MAPPING_ANON) === 0);
  if (!cached) return 0;
  return (flags & PageFlag.private) === 0 ? 1 : 2;
}

/** The same but for what is written in the page, and without a look at who else holds it: the caller sees to both. */
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
  if ((flags & TAKEN) !== 0) memmap.clear(from, TAKEN);
  // Whatever locks it in memory will say so of the new page, when that is mapped.
  if ((flags & PageFlag.unevictable) !== 0)
    vm.memory.allocator.countEvent(VmEvent.unevictable_pgs_rescued, 1);
}

/** @see folio_migrate_mapping() */
function replaceInFile(vm: Vm, from: Page, to: Page): void {
  const { memmap } = vm;
  const file = vm.mappings.of(memmap, from);
  if (!file) return;
  memmap.getPage(to);
  // Marks stay with the index.
  file.pages.store(memmap.index(from), to);
  moveCounts(vm, file, from, to);
  memmap.setPrivate(to, memmap.private(from));
  memmap.setPrivate(from, 0);
  // What is freed must not be taken for a page of the file. That it was anonymous may be seen till the end.
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
