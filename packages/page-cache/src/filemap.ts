// How pages come into the page cache, are found in it, and leave it. The cache holds a reference on each of its pages.
// Who has a page locked and sees it in its file knows that it stays there until he unlocks it. Only small pages are in
// it. Kernel counterpart: mm/filemap.c.
import { KernelBug, type Page, type Sleeps } from "@hetmem/kernel";
import { isValue } from "@hetmem/kernel/lib";
import { addNodeStat, lockPage, type MmStruct, unlockPage, type Vm } from "@hetmem/mm";
import { type AddressSpace, cancelDirty } from "@hetmem/mm/file";
import { workingsetRefault } from "@hetmem/mm/lru";
import { allocUncharged, tryAllocWithPolicy } from "@hetmem/mm/policy";
import type { PageSource } from "@hetmem/mm/ports";
import { describePage, NULL_PAGE, PageFlag } from "@hetmem/page";
import { Gfp, GFP_HIGHUSER_MOVABLE, NodeStat } from "@hetmem/zone";

/** Nothing is done to make room. @see readahead_gfp_mask() */
const GFP_READAHEAD = (GFP_HIGHUSER_MOVABLE | Gfp.NORETRY | Gfp.NOWARN) & ~Gfp.DIRECT_RECLAIM;

/**
 * Puts a new page into a file, locked, and on an LRU list. The caller keeps its reference.
 *
 * @returns false when a page is there already @see filemap_add_folio()
 */
export function addToPageCache(mapping: AddressSpace, page: Page, index: number): boolean {
  const { vm } = mapping;
  const entry = mapping.pages.load(index);
  // What stands for a page of shmem is the page itself, in swap.
  if (entry > 0 || (isValue(entry) && vm.memmap.test(page, PageFlag.swapbacked))) return false;
  enterPageCache(mapping, page, index);
  if (isValue(entry)) workingsetRefault(vm, page, entry);
  vm.lru.add(page);
  return true;
}

/** The same for a page that is on a list already: one that comes back from the swap cache. @see shmem_add_to_page_cache() */
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
 * Takes a locked page that nobody maps out of its file, and drops the cache's reference. The caller holds another.
 *
 * @param entry what stands in its place: a shadow, a swap slot, or 0
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
 * The same for reclaim, which needs the page clean and nobody else's: the cache's reference and the caller's are the
 * only ones.
 *
 * @param shadow what stands in its place, or 0
 * @returns false when somebody uses it @see remove_mapping()
 */
export function removeMapping(vm: Vm, page: Page, shadow: number): boolean {
  const { memmap } = vm;
  if (memmap.refcount(page) !== 2 || memmap.test(page, PageFlag.dirty | PageFlag.writeback)) return false;
  deleteFromPageCache(vm, page, shadow);
  return true;
}

/** The page at an index, with a reference; NULL_PAGE where there is none. @see find_get_page() */
export function findGetPage(mapping: AddressSpace, index: number): Page {
  const entry = mapping.pages.load(index);
  if (entry === 0 || isValue(entry)) return NULL_PAGE as Page;
  mapping.vm.memmap.getPage(entry as Page);
  return entry as Page;
}

/** The same, locked: it is in the file when this returns, and stays for as long as it is locked. @see find_lock_page() */
export function* findLockPage(mapping: AddressSpace, index: number): Sleeps<Page> {
  // Ends: only another task takes a page out of the file between the two looks.
  for (;;) {
    const page = findGetPage(mapping, index);
    if (page === NULL_PAGE || (yield* lockPageOf(mapping, page))) return page;
  }
}

/** Locks a referenced page of a file. @returns false, with the reference dropped, when it has left the file meanwhile */
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
 * A page for a file, with a reference, where the policy of whoever reads it wants it.
 *
 * @param mm undefined: the kernel reads for itself, near the first memory of the machine
 * @returns NULL_PAGE when reclaim could not make room @see filemap_alloc_folio()
 */
export function* allocCachePage(vm: Vm, mm: MmStruct | undefined): Sleeps<Page> {
  const page = yield* cachePageSource(vm, mm).alloc();
  return page === NULL_PAGE ? page : yield* chargeCachePage(vm, mm, page);
}

/** The same, charged to nobody yet. */
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

/** Charges a new page for a file to whoever needs it. @returns NULL_PAGE when that fails, and it is freed @see filemap_add_folio() */
export function* chargeCachePage(vm: Vm, mm: MmStruct | undefined, page: Page): Sleeps<Page> {
  if (mm) return yield* vm.pages.charge(mm, page, 0, GFP_HIGHUSER_MOVABLE);
  vm.charging.chargeRoot(page);
  return page;
}

/** The same without waiting, for pages that nobody waits for. */
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
