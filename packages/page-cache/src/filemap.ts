// The page cache: pages are added, found and removed here. The cache holds a reference to each of its pages. A page
// that is locked and whose mapping is the file's stays in the file until it is unlocked. The cache holds pages of 4 KiB
// only. Kernel counterpart: mm/filemap.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue } from "@hetmem/kernel/lib";
import { addNodeStat, lockPage, type MmStruct, unlockPage, type Vm } from "@hetmem/mm";
import { type AddressSpace, cancelDirty } from "@hetmem/mm/file";
import { workingsetRefault } from "@hetmem/mm/lru";
import { allocUncharged, tryAllocWithPolicy } from "@hetmem/mm/policy";
import type { PageSource } from "@hetmem/mm/ports";
import { describePage, NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat } from "@hetmem/zone";

/** An allocation that neither reclaims nor warns. @see readahead_gfp_mask() */
const GFP_READAHEAD = (GFP_HIGHUSER_MOVABLE | Gfp.NORETRY | Gfp.NOWARN) & ~Gfp.DIRECT_RECLAIM;

/**
 * Adds a new page to a file, locks it and puts it on an LRU list. The caller keeps its reference.
 *
 * @param index page index in the file
 * @returns false if the file has a page at the index already
 * @see filemap_add_folio()
 */
export function addToPageCache(mapping: AddressSpace, page: Page, index: number): boolean {
  const { vm } = mapping;
  const entry = mapping.pages.load(index);
  // For shmem a value entry is a page in swap. For other files it is the shadow of an evicted page.
  if (entry > 0 || (isValue(entry) && vm.memmap.test(page, PageFlag.swapbacked))) return false;
  enterPageCache(mapping, page, index);
  if (isValue(entry)) workingsetRefault(vm, page, entry);
  vm.lru.add(page);
  return true;
}

/**
 * Does the same as addToPageCache(), for a page from the swap cache, which is on an LRU list already.
 *
 * @see shmem_add_to_page_cache()
 */
export function enterPageCache(mapping: AddressSpace, page: Page, index: number): void {
  const { vm } = mapping;
  const { memmap } = vm;
  memmap.set(page, PageFlag.locked);
  memmap.getPage(page);
  memmap.setMapping(page, mapping.id << 1);
  memmap.setIndex(page, index);
  mapping.pages.store(index, page);
  countFilePage(vm, page, 1);
}

/**
 * Removes a locked, unmapped page from its file, and drops the cache's reference. The caller must hold another
 * reference.
 *
 * @param entry entry to leave at the index: a shadow, a swap entry, or 0 for none
 * @throws KernelBug if the page isn't in a file, isn't locked, or is mapped
 * @see filemap_remove_folio()
 */
export function deleteFromPageCache(vm: Vm, page: Page, entry = 0): void {
  const { memmap } = vm;
  const mapping = vm.mappings.of(memmap, page);
  if (!mapping || !memmap.test(page, PageFlag.locked) || memmap.mapcount(page) > 0)
    throw new KernelBug(`can't be taken out of its file: ${describePage(memmap, page)}`);
  if (mapping.canWriteback) cancelDirty(vm, page);
  mapping.pages.store(memmap.index(page), entry);
  countFilePage(vm, page, -1);
  memmap.setMapping(page, 0);
  memmap.putPage(page);
}

/**
 * Does the same as deleteFromPageCache(), for reclaim: only if the page is clean, and its only references are those of
 * the cache and of the caller.
 *
 * @param shadow entry to leave at the index, or 0 for none
 * @returns false if the page is dirty, under writeback, or has another reference
 * @see remove_mapping()
 */
export function removeMapping(vm: Vm, page: Page, shadow: number): boolean {
  const { memmap } = vm;
  if (memmap.refcount(page) !== 2 || memmap.test(page, PageFlag.dirty | PageFlag.writeback)) return false;
  deleteFromPageCache(vm, page, shadow);
  return true;
}

/**
 * Finds the page at an index, and takes a reference.
 *
 * @returns NULL_PAGE if the file has none there
 * @see find_get_page()
 */
export function findGetPage(mapping: AddressSpace, index: number): Page {
  const entry = mapping.pages.load(index);
  if (entry === 0 || isValue(entry)) return NULL_PAGE as Page;
  mapping.vm.memmap.getPage(entry as Page);
  return entry as Page;
}

/**
 * Does the same as findGetPage(), and locks the page. A page that is returned is in the file until the caller unlocks
 * it.
 *
 * @see find_lock_page()
 */
export function* findLockPage(mapping: AddressSpace, index: number): Sleeps<Page> {
  // Ends: a turn is repeated only if another task removed the page before it was locked.
  for (;;) {
    const page = findGetPage(mapping, index);
    if (page === NULL_PAGE || (yield* lockPageOf(mapping, page))) return page;
  }
}

/** Locks a referenced page of a file. @returns false if the page has left the file; the reference is dropped then */
export function* lockPageOf(mapping: AddressSpace, page: Page): Sleeps<boolean> {
  const { memmap } = mapping.vm;
  yield* lockPage(memmap, page);
  if (memmap.mapping(page) === mapping.id << 1) return true;
  unlockPage(memmap, page);
  memmap.putPage(page);
  return false;
}

/** Unlocks a page and drops the caller's reference. */
export function unlockAndPut({ memmap }: Vm, page: Page): void {
  unlockPage(memmap, page);
  memmap.putPage(page);
}

/**
 * Allocates a page for a file, by the memory policy of the process that uses the file, and charges it.
 *
 * @param mm that process; undefined: the kernel itself, on the machine's first node with memory
 * @returns the page, referenced, or NULL_PAGE if reclaim doesn't free enough
 * @see filemap_alloc_folio()
 */
export function* allocCachePage(vm: Vm, mm: MmStruct | undefined): Sleeps<Page> {
  const page = yield* cachePageSource(vm, mm).alloc();
  return page === NULL_PAGE ? page : yield* chargeCachePage(vm, mm, page);
}

/** A source of such pages that doesn't charge them. */
export function cachePageSource(vm: Vm, mm: MmStruct | undefined): PageSource {
  const near = vm.memmap.nodeOf(vm.zeroPage);
  return {
    mm,
    alloc: () =>
      mm
        ? allocUncharged(undefined, mm, 0, GFP_HIGHUSER_MOVABLE, 0)
        : vm.pages.allocUncharged(GFP_HIGHUSER_MOVABLE, 0, near, undefined),
  };
}

/**
 * Charges a new page of a file to a process, or to the root if there is none.
 *
 * @returns the page, or NULL_PAGE if the charge fails; the page is freed then
 * @see filemap_add_folio()
 */
export function* chargeCachePage(vm: Vm, mm: MmStruct | undefined, page: Page): Sleeps<Page> {
  if (mm) return yield* vm.pages.charge(mm, page, 0, GFP_HIGHUSER_MOVABLE);
  vm.charging.chargeRoot(page);
  return page;
}

/** Allocates and charges a page without reclaim, for read-ahead. @returns NULL_PAGE if no page is free */
export function tryAllocCachePage(vm: Vm, mm: MmStruct | undefined): Page {
  if (mm) return tryAllocWithPolicy(vm, undefined, mm, 0, GFP_READAHEAD, 0);
  const page = vm.pages.tryAlloc(GFP_READAHEAD, 0, vm.memmap.nodeOf(vm.zeroPage), undefined);
  if (page !== NULL_PAGE) vm.charging.chargeRoot(page);
  return page;
}

function countFilePage(vm: Vm, page: Page, by: number): void {
  addNodeStat(vm, page, NodeStat.nr_file_pages, by);
  if (vm.memmap.test(page, PageFlag.swapbacked)) addNodeStat(vm, page, NodeStat.nr_shmem, by);
}
