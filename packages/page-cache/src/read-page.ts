// Reads pages of a file from the disk: the page that is wanted, and pages around it. The size of read-ahead is fixed
// here; the kernel adapts it to the use of the file. Kernel counterparts: page_cache_ra_unbounded() in mm/readahead.c,
// filemap_read_folio() and filemap_update_page() in mm/filemap.c.
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

/** Pages of one read-ahead: 128 KiB. @see VM_READAHEAD_PAGES */
export const READAHEAD_PAGES = 32;

/** Result of lockUptodate(): the page is locked and uptodate, has left the file, or can't be read. */
export type ReadResult = "locked" | "gone" | "unreadable";

/**
 * Reads those of the pages [first, first + count) that aren't in memory, up to the end of the file, while pages are
 * free without reclaim. A page that can't be read stays in the file without PG_uptodate: an access reads it again and
 * fails.
 *
 * @param first page index in the file
 * @param count pages
 * @param mm process that is charged; undefined: the kernel itself
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
 * Finds the page at an index, or adds a new one, which isn't uptodate, and takes a reference.
 *
 * @returns NULL_PAGE if there is no memory for a page
 * @see __filemap_get_folio() with FGP_CREAT
 */
export function* grabPage(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page> {
  // Ends: if a page can't be added, another task has added one, which the next turn finds.
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
 * Locks a referenced page, and reads it unless it is uptodate.
 *
 * @returns "locked" if the page is locked and uptodate; else the reference is dropped, and the page has left the file
 *   ("gone") or can't be read ("unreadable")
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

/** Reads a page from the disk. @returns false if the disk fails */
function readInto(mapping: AddressSpace, page: Page): boolean {
  const { vm } = mapping;
  const host = inodeOf(mapping);
  return host.store === undefined || host.store.readPage(vm.memmap.index(page), page);
}
