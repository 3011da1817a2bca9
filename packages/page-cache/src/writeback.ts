// Writeback of dirty pages to the disk: for fsync(2) and sync(2), for reclaim, and when too much memory is dirty. A
// task that crosses the dirty threshold writes back itself: there are no flusher threads and no bandwidth estimates. No
// disk requires stable pages. Kernel counterpart: mm/page-writeback.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import { MAX_INDEX, NO_INDEX, XaMark } from "@hetmem/kernel/lib";
import { unlockPage, type Vm } from "@hetmem/mm";
import { type AddressSpace, clearPageDirtyForIo, waitOnWriteback } from "@hetmem/mm/file";
import { PageFlag } from "@hetmem/page";
import { allZones, type Memory, NodeStat } from "@hetmem/zone";
import { findGetPage, lockPageOf, unlockAndPut } from "./filemap.ts";

/**
 * Writes a locked, referenced page to its disk or to swap, if it is dirty.
 *
 * @returns true if the page is clean, and unlocked; false if it stays dirty and locked, because it has no file or its
 *   file refused it
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
 * Writes the dirty pages [first, last] of a file, and waits for pages that other tasks are writing.
 *
 * @param first page index in the file
 * @param last page index in the file, inclusive
 * @throws KernelError EIO if a page could not be written since the last such error was reported
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

/** Writes the pages of all files that are dirty now: sync(2). */
export function* syncAll(vm: Vm): Sleeps<void> {
  for (const mapping of vm.mappings) if (mapping.canWriteback) yield* writeRange(mapping, 0, MAX_INDEX);
}

/**
 * Throttles a task that has dirtied a page. If more than vm.dirty_ratio of the dirtyable memory is dirty, writes pages
 * of this file, then of others, until no more than vm.dirty_background_ratio is.
 *
 * @see balance_dirty_pages()
 */
export function* balanceDirtyPages(mapping: AddressSpace): Sleeps<void> {
  const { vm } = mapping;
  if (dirtyPages(vm.memory) <= dirtyLimit(vm, vm.tunables.dirtyRatio)) return;
  for (const next of [mapping, ...vm.mappings]) {
    if (next.canWriteback) yield* writeRange(next, 0, MAX_INDEX);
    if (dirtyPages(vm.memory) <= dirtyLimit(vm, vm.tunables.dirtyBackgroundRatio)) return;
  }
}

/** Writes the dirty pages [first, last] of a file. @see write_cache_pages() */
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

/** A percentage of the pages that are free or hold file data. @see global_dirtyable_memory() */
function dirtyLimit({ memory }: Vm, ratio: number): number {
  let pages = 0;
  for (const zone of allZones(memory)) pages += zone.freePages;
  for (const node of memory.nodes)
    pages += (node?.stat[NodeStat.nr_inactive_file] ?? 0) + (node?.stat[NodeStat.nr_active_file] ?? 0);
  return Math.floor((pages * ratio) / 100);
}
