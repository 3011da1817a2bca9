// Eviction of clean, unmapped pages that are on the disk, too: what a write of 1 to /proc/sys/vm/drop_caches does.
// Dirty pages, mapped pages and those of shmem stay. Kernel counterparts: invalidate_mapping_pages() in mm/truncate.c,
// fs/drop_caches.c.
import { condResched, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import { trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { VmEvent } from "@hetmem/zone";
import { removeMapping } from "./filemap.ts";

/** Pages looked at between two points where other tasks may run. */
const BATCH = 512;

/** Evicts the clean, unmapped pages of all files on disks. @see drop_caches_sysctl_handler() with 1 */
export function* dropPagecache(vm: Vm): Sleeps<void> {
  // A page of shmem has no copy on a disk.
  for (const mapping of vm.mappings)
    if (mapping.canWriteback) yield* invalidateMappingPages(mapping, 0, MAX_INDEX);
  vm.memory.allocator.countEvent(VmEvent.drop_pagecache, 1);
}

/**
 * Evicts those of the pages [first, last] of a file that are clean, unmapped and not referenced elsewhere, and removes
 * all shadows there.
 *
 * @param first page index in the file
 * @param last page index in the file, inclusive
 * @returns number of pages evicted
 * @see invalidate_mapping_pages()
 */
function* invalidateMappingPages(mapping: AddressSpace, first: number, last: number): Sleeps<number> {
  const { pages } = mapping;
  let dropped = 0;
  let seen = 0;
  for (let index = pages.find(first, last); index !== NO_INDEX; index = pages.find(index + 1, last)) {
    if (++seen % BATCH === 0) yield condResched;
    const entry = pages.load(index);
    if (isValue(entry)) pages.store(index, 0);
    else if (invalidateInodePage(mapping.vm, entry as Page)) dropped++;
  }
  return dropped;
}

/**
 * Evicts one page.
 *
 * @returns false if the page stays
 * @see mapping_evict_folio()
 */
function invalidateInodePage(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  if (memmap.mapcount(page) > 0 || !trylockPage(memmap, page)) return false;
  memmap.getPage(page);
  const gone = removeMapping(vm, page, 0);
  unlockPage(memmap, page);
  memmap.putPage(page);
  return gone;
}
