// Drops pages of files that nobody uses and that the disk has too: what an administrator asks for through
// /proc/sys/vm/drop_caches. Dirty pages, mapped ones and those of shmem stay. Kernel counterparts:
// invalidate_mapping_pages() in mm/truncate.c, fs/drop_caches.c.
import { condResched, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import { trylockPage, unlockPage, type Vm } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { VmEvent } from "@hetmem/zone";
import { removeMapping } from "./filemap.ts";

/** Pages that are looked at between two places where others may run. */
const BATCH = 512;

/** Drops the clean pages of all files that nobody maps. @see drop_caches_sysctl_handler() with 1 */
export function* dropPagecache(vm: Vm): Sleeps<void> {
  // Pages of shmem are nowhere else.
  for (const mapping of vm.mappings)
    if (mapping.canWriteback) yield* invalidateMappingPages(mapping, 0, MAX_INDEX);
  vm.memory.allocator.countEvent(VmEvent.drop_pagecache, 1);
}

/**
 * Takes those pages [first, last] out of the page cache that are clean and used by nobody, and shadows with them.
 *
 * @returns how many pages it were @see invalidate_mapping_pages()
 */
export function* invalidateMappingPages(mapping: AddressSpace, first: number, last: number): Sleeps<number> {
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

/** @returns whether the page has left its file @see mapping_evict_folio() */
function invalidateInodePage(vm: Vm, page: Page): boolean {
  const { memmap } = vm;
  if (memmap.mapcount(page) > 0 || !trylockPage(memmap, page)) return false;
  memmap.getPage(page);
  const gone = removeMapping(vm, page, 0);
  unlockPage(memmap, page);
  memmap.putPage(page);
  return gone;
}
