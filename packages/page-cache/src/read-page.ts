// Brings pages of a file on a disk into memory: the one that is wanted, and some around it. How much is read ahead is
// fixed; the kernel learns it from how the file is used. Kernel counterparts: page_cache_ra_unbounded() in
// mm/readahead.c, filemap_read_folio() and filemap_update_page() in mm/filemap.c.
import { condResched, type Page, type Sleeps } from "@hetmem/kernel";
import type { MmStruct } from "@hetmem/mm";
import type { AddressSpace } from "@hetmem/mm/file";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import {
  addToPageCache,
  allocCachePage,
  findGetPage,
  lockPageOf,
  tryAllocCachePage,
  unlockAndPut,
} from "./filemap.ts";
import { inodeOf } from "./inode.ts";

/** Pages that are read together: 128 KiB. @see VM_READAHEAD_PAGES */
export const READAHEAD_PAGES = 32;

/** How bringing a page up to date ended. */
export type ReadResult = "locked" | "gone" | "unreadable";

/**
 * Reads those pages of [first, first + count) that aren't in memory, for as long as that has free pages and the file goes
 * on. What can't be read is left not up to date: who wants it tries again, and fails.
 *
 * @see page_cache_ra_unbounded()
 */
export function* readAhead(
  mapping: AddressSpace,
  first: number,
  count: number,
  mm: MmStruct | undefined,
): Sleeps<void> {
  const { vm } = mapping;
  const host = inodeOf(mapping);
  const fresh: Page[] = [];
  const end = Math.min(first + count, host.pages);
  for (let index = Math.max(0, first); index < end; index++) {
    if (mapping.pages.load(index) > 0) continue;
    const page = tryAllocCachePage(vm, mm);
    if (page === NULL_PAGE) break;
    addToPageCache(mapping, page, index);
    fresh.push(page);
  }
  if (fresh.length === 0) return;
  yield condResched;
  for (const page of fresh) {
    if (readInto(mapping, page)) vm.memmap.set(page, PageFlag.uptodate);
    unlockAndPut(vm, page);
  }
}

/**
 * The page at an index, referenced: that which is there, or a new one, which isn't up to date.
 *
 * @returns NULL_PAGE when there is no memory for it @see __filemap_get_folio() with FGP_CREAT
 */
export function* grabPage(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page> {
  // Ends: a page that can't be added is there already, and found by the next turn.
  for (;;) {
    const found = findGetPage(mapping, index);
    if (found !== NULL_PAGE) return found;
    const page = yield* allocCachePage(mapping.vm, mm);
    if (page === NULL_PAGE) return page;
    if (addToPageCache(mapping, page, index)) {
      mapping.vm.memmap.clear(page, PageFlag.locked);
      return page;
    }
    mapping.vm.memmap.putPage(page);
  }
}

/**
 * Locks a referenced page and reads it if nobody has.
 *
 * @returns "locked": it is, and up to date. Otherwise the reference is dropped: the page has left the file, or can't be read
 * @see filemap_update_page()
 */
export function* lockUptodate(mapping: AddressSpace, page: Page): Sleeps<ReadResult> {
  const { memmap } = mapping.vm;
  if (!(yield* lockPageOf(mapping, page))) return "gone";
  if (memmap.test(page, PageFlag.uptodate)) return "locked";
  yield condResched;
  if (readInto(mapping, page)) {
    memmap.set(page, PageFlag.uptodate);
    return "locked";
  }
  unlockAndPut(mapping.vm, page);
  return "unreadable";
}

/** @returns false when the disk can't */
function readInto(mapping: AddressSpace, page: Page): boolean {
  const { vm } = mapping;
  const host = inodeOf(mapping);
  return host.store === undefined || host.store.readPage(vm.memmap.index(page), page);
}
