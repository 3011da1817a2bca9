// Dirty pages on their way to the disk: on request of fsync() and sync(), of reclaim, and when too much of the memory is
// dirty. Who dirtied the page that was too much does the writing himself: there are no flusher threads and no bandwidth
// estimates, and no disk wants a page to stay as it is while it is written (stable pages). Kernel counterpart: mm/page-writeback.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import { MAX_INDEX, NO_INDEX, XaMark } from "@hetmem/kernel/lib";
import { unlockPage, type Vm } from "@hetmem/mm";
import { type AddressSpace, clearPageDirtyForIo, waitOnWriteback } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { allZones, type Memory, NodeStat } from "@hetmem/zone";
import { findGetPage, lockPageOf, unlockAndPut } from "./filemap.ts";

/**
 * Writes a locked, referenced page to where it is kept, if it is dirty.
 *
 * @returns true: it is clean, and unlocked; false: it stays dirty and locked, since nothing takes it now
 * @see write_one_page()
 */
export function* writepage(vm: Vm, page: Page): Sleeps<boolean> {
  const mapping = vm.mappings.of(vm.memmap, page);
  if (!mapping) return false;
  if (yield* clearPageDirtyForIo(vm, page)) return yield* mapping.ops.writepage(mapping, page);
  unlockPage(vm.memmap, page);
  return true;
}

/**
 * Writes the dirty pages [first, last] of a file, and waits for those that somebody else is writing.
 *
 * @throws KernelError EIO when one could not be written since the last time somebody asked
 * @see file_write_and_wait_range() in mm/filemap.c
 */
export function* fsyncRange(mapping: AddressSpace, first = 0, last: number = MAX_INDEX): Sleeps<void> {
  if (!mapping.canWriteback) return;
  yield* writeRange(mapping, first, last);
  for (let index = nextWriteback(mapping, first, last); index !== NO_INDEX;) {
    const page = findGetPage(mapping, index);
    yield* waitOnWriteback(mapping.vm, page);
    mapping.vm.memmap.putPage(page);
    index = nextWriteback(mapping, index + 1, last);
  }
  if (!mapping.writeError) return;
  mapping.writeError = false;
  throw new KernelError(
    "EIO",
    `file ${mapping.host.number} has pages that the disk didn't take: they are lost`,
  );
}

/** sync(2): everything that is dirty now is on its disk afterwards. */
export function* syncAll(vm: Vm): Sleeps<void> {
  for (const mapping of vm.mappings) if (mapping.canWriteback) yield* writeRange(mapping, 0, MAX_INDEX);
}

/** A page was dirtied: when that was too much, writes pages of this file, and then of others, until it no longer is. @see balance_dirty_pages() */
export function* balanceDirtyPages(mapping: AddressSpace): Sleeps<void> {
  const { vm } = mapping;
  if (dirtyPages(vm.memory) <= dirtyLimit(vm, vm.tunables.dirtyRatio)) return;
  for (const next of [mapping, ...vm.mappings]) {
    if (next.canWriteback) yield* writeRange(next, 0, MAX_INDEX);
    if (dirtyPages(vm.memory) <= dirtyLimit(vm, vm.tunables.dirtyBackgroundRatio)) return;
  }
}

/** @see write_cache_pages() */
function* writeRange(mapping: AddressSpace, first: number, last: number): Sleeps<void> {
  const { vm } = mapping;
  for (
    let index = nextDirty(mapping, first, last);
    index !== NO_INDEX;
    index = nextDirty(mapping, index + 1, last)
  ) {
    const page = findGetPage(mapping, index);
    if (!(yield* lockPageOf(mapping, page))) continue;
    yield* waitOnWriteback(vm, page);
    if (vm.memmap.test(page, PageFlag.dirty) && (yield* writepage(vm, page))) vm.memmap.putPage(page);
    else unlockAndPut(vm, page);
  }
}

function nextDirty({ pages }: AddressSpace, first: number, last: number): number {
  return pages.findMarked(first, last, XaMark.dirty);
}

function nextWriteback({ pages }: AddressSpace, first: number, last: number): number {
  return pages.findMarked(first, last, XaMark.writeback);
}

function dirtyPages({ nodes }: Memory): number {
  return nodes.reduce((sum, node) => sum + (node?.stat[NodeStat.nr_dirty] ?? 0), 0);
}

/** A percentage of what is free or holds pages of files. @see global_dirtyable_memory() */
function dirtyLimit({ memory }: Vm, ratio: number): number {
  let pages = 0;
  for (const zone of allZones(memory)) pages += zone.freePages;
  for (const node of memory.nodes)
    pages += (node?.stat[NodeStat.nr_inactive_file] ?? 0) + (node?.stat[NodeStat.nr_active_file] ?? 0);
  return Math.floor((pages * ratio) / 100);
}
