// The pages of shmem. A page is made of zeros when it is first touched, goes to swap when memory is short, and comes
// back at the next use. A value entry at the index of a page in swap holds its swap entry, and counts as a user of the
// slot. Kernel counterparts: shmem_get_folio_gfp(), shmem_swapin_folio() and shmem_writepage() in mm/shmem.c.
import { KernelError, type Page, type Sleeps } from "@hetmem/kernel";
import { entryValue, isValue, MAX_INDEX, NO_INDEX, valueEntry } from "@hetmem/kernel/lib";
import { lockPage, type MmStruct, unlockPage, type Vm } from "@hetmem/mm";
import {
  type AddressSpace,
  type AddressSpaceOperations,
  setPageDirty,
  waitOnWriteback,
} from "@hetmem/mm/file";
import type { PageSource } from "@hetmem/mm/ports";
import { NULL_PAGE, PageFlag } from "@hetmem/page";
import {
  deviceOfEntry,
  isSwapinError,
  NO_SWAP_ENTRY,
  slotOfEntry,
  swapinErrorEntry,
} from "@hetmem/page-table";
import {
  addToPageCache,
  cachePageSource,
  chargeCachePage,
  deleteFromPageCache,
  enterPageCache,
  findLockPage,
  unlockAndPut,
} from "./filemap.ts";
import { ShmemInode, shmemInode } from "./shmem-inode.ts";

export const shmemOps: AddressSpaceOperations = {
  canWriteback: false,
  readBegin,
  writeBegin,
  writepage: shmemWritepage,
  partialPage,
  forget,
  evict,
};

/**
 * Finds the page at an index, in memory or in swap, locks it and takes a reference.
 *
 * @param index page index in the file
 * @param source allocator of the page to swap in to
 * @returns NULL_PAGE for a hole
 * @throws KernelError ENOMEM if there is no page to swap in to; EIO if the page can't be read from swap
 * @see shmem_get_folio_gfp() with SGP_READ
 */
function* shmemLookup(mapping: AddressSpace, index: number, source: PageSource): Sleeps<Page> {
  // Ends: a turn is repeated only if another task changed the entry between two looks at it.
  for (;;) {
    const entry = mapping.pages.load(index);
    if (isValue(entry)) {
      const page = yield* swapIn(mapping, index, entry, source);
      if (page !== NULL_PAGE) return page;
      continue;
    }
    const page = yield* findLockPage(mapping, index);
    if (page !== NULL_PAGE || !isValue(mapping.pages.load(index))) return page;
  }
}

/**
 * Does the same as shmemLookup(), and adds a new page of zeros in a hole.
 *
 * @throws KernelError ENOSPC if the tmpfs is full; ENOMEM; EIO if the page can't be read from swap
 * @see shmem_get_folio_gfp() with SGP_WRITE
 */
export function* shmemGetPage(mapping: AddressSpace, index: number, source: PageSource): Sleeps<Page> {
  const inode = shmemInode(mapping);
  // Ends: if the page can't be added, another task has added one, which the next turn finds.
  for (;;) {
    const found = yield* shmemLookup(mapping, index, source);
    if (found !== NULL_PAGE) return found;
    inode.reserve();
    const page = yield* allocCharged(mapping.vm, source);
    if (page === NULL_PAGE) {
      inode.unreserve();
      throw new KernelError("ENOMEM", `no memory for page ${index} of file ${inode.number}`);
    }
    if (enterNew(mapping, page, index)) {
      inode.added();
      return page;
    }
    inode.unreserve();
    mapping.vm.memmap.putPage(page);
  }
}

/**
 * Removes a locked page that was added behind the end of the file, because the file was truncated meanwhile, and
 * unlocks it.
 */
export function shmemDiscard(mapping: AddressSpace, page: Page): void {
  deleteFromPageCache(mapping.vm, page);
  shmemInode(mapping).recount();
  unlockAndPut(mapping.vm, page);
}

/**
 * Swaps in all pages that files have on a swap device.
 *
 * @param device number of the swap device
 * @throws KernelError ENOMEM
 * @see shmem_unuse()
 */
export function* shmemUnuse(vm: Vm, device: number): Sleeps<void> {
  for (const mapping of vm.mappings) {
    if (!(mapping.host instanceof ShmemInode) || mapping.pages.values === 0) continue;
    const { pages } = mapping;
    for (let index = pages.find(0, MAX_INDEX); index !== NO_INDEX; index = pages.find(index + 1, MAX_INDEX)) {
      const entry = pages.load(index);
      if (!isValue(entry) || deviceOfEntry(entryValue(entry)) !== device) continue;
      yield* unuseOne(mapping, index);
    }
  }
}

/**
 * Swaps in one page. If the page can't be read, its slot is freed and the page is lost.
 *
 * @see shmem_unuse_swap_entries()
 */
function* unuseOne(mapping: AddressSpace, index: number): Sleeps<void> {
  try {
    const page = yield* shmemLookup(mapping, index, cachePageSource(mapping.vm, undefined));
    if (page !== NULL_PAGE) unlockAndPut(mapping.vm, page);
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== "EIO") throw error;
  }
}

/** Allocates a page and charges it to the process of the source. @returns NULL_PAGE if either fails */
function* allocCharged(vm: Vm, source: PageSource): Sleeps<Page> {
  const page = yield* source.alloc();
  return page === NULL_PAGE ? page : yield* chargeCachePage(vm, source.mm, page);
}

function enterNew(mapping: AddressSpace, page: Page, index: number): boolean {
  const { memmap } = mapping.vm;
  memmap.set(page, PageFlag.swapbacked | PageFlag.uptodate);
  return addToPageCache(mapping, page, index);
}

/**
 * Moves the page of a value entry from the swap cache to the file.
 *
 * @returns the page, locked and referenced, or NULL_PAGE if another task has changed the entry
 * @throws KernelError ENOMEM; EIO if the page can't be read from swap
 * @see shmem_swapin_folio()
 */
function* swapIn(mapping: AddressSpace, index: number, entry: number, source: PageSource): Sleeps<Page> {
  const { vm } = mapping;
  const { memmap, swap } = vm;
  const word = entryValue(entry);
  if (isSwapinError(word)) throw lost(mapping, index);
  const device = deviceOfEntry(word);
  const slot = slotOfEntry(word);
  const page = yield* vm.swap.readPage(device, slot, source);
  if (page === NULL_PAGE) {
    if (mapping.pages.load(index) !== entry) return page;
    throw new KernelError("ENOMEM", `no memory to swap page ${index} of file ${mapping.host.number} in to`);
  }
  yield* lockPage(memmap, page);
  yield* waitOnWriteback(vm, page);
  const isIt = memmap.test(page, PageFlag.swapcache) && memmap.private(page) === word;
  if (!isIt || mapping.pages.load(index) !== entry) {
    unlockAndPut(vm, page);
    return NULL_PAGE as Page;
  }
  if (!memmap.test(page, PageFlag.uptodate)) {
    setSwapinError(mapping, page, index, word);
    throw lost(mapping, index);
  }
  enterPageCache(mapping, page, index);
  swap.cache.remove(page, 0);
  setPageDirty(vm, page);
  swap.free(device, slot);
  return page;
}

/**
 * Frees the slot of a page that can't be read, records in the file that the page is lost, and unlocks the page.
 *
 * @see shmem_set_folio_swapin_error()
 */
function setSwapinError({ pages, vm }: AddressSpace, page: Page, index: number, word: number): void {
  pages.store(index, valueEntry(swapinErrorEntry(vm.memmap.pageToPfn(page))));
  vm.swap.cache.remove(page, 0);
  vm.swap.free(deviceOfEntry(word), slotOfEntry(word));
  unlockAndPut(vm, page);
}

function lost({ host }: AddressSpace, index: number): KernelError {
  return new KernelError(
    "EIO",
    `page ${index} of file ${host.number} was in swap and is lost: punch a hole to be rid of it`,
  );
}

/**
 * Moves a page to the swap cache for reclaim, leaves a value entry in the file, and writes the page to swap.
 *
 * @returns false, with the page locked and dirty, if it is mapped or no slot is free
 * @see shmem_writepage()
 */
function* shmemWritepage(mapping: AddressSpace, page: Page): Sleeps<boolean> {
  const { vm } = mapping;
  const { swap, memmap } = vm;
  const entry = memmap.mapcount(page) > 0 ? NO_SWAP_ENTRY : swap.allocSlot(page);
  if (entry === NO_SWAP_ENTRY) {
    setPageDirty(vm, page);
    return false;
  }
  swap.cache.add(page, entry);
  swap.duplicate(deviceOfEntry(entry), slotOfEntry(entry));
  deleteFromPageCache(vm, page, valueEntry(entry));
  yield* swap.writePage(page);
  return true;
}

function* readBegin(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page> {
  const { vm } = mapping;
  const page = yield* shmemLookup(mapping, index, cachePageSource(vm, mm));
  if (page === NULL_PAGE) return page;
  refuseBad(mapping, page);
  unlockPage(vm.memmap, page);
  return page;
}

function* writeBegin(
  mapping: AddressSpace,
  index: number,
  _from: number,
  to: number,
  mm: MmStruct | undefined,
): Sleeps<Page> {
  shmemInode(mapping).checkWrite(index * 4096 + to);
  const page = yield* shmemGetPage(mapping, index, cachePageSource(mapping.vm, mm));
  refuseBad(mapping, page);
  return page;
}

/**
 * The page of which a truncation zeroes a part; a page in swap is read for that. If the read fails, the truncation goes
 * on without an error, as in the kernel.
 *
 * @see shmem_get_partial_folio()
 */
function* partialPage(mapping: AddressSpace, index: number, mm: MmStruct | undefined): Sleeps<Page> {
  try {
    return yield* shmemLookup(mapping, index, cachePageSource(mapping.vm, mm));
  } catch (error) {
    if (error instanceof KernelError) return NULL_PAGE as Page;
    throw error;
  }
}

/**
 * Refuses a page with a memory error. Such a page stays in its file: removing it would make reads return zeros, since
 * there is no copy.
 *
 * @throws KernelError EIO
 * @see shmem_file_read_iter()
 */
function refuseBad({ vm, host }: AddressSpace, page: Page): void {
  if (!vm.memmap.test(page, PageFlag.hwpoison)) return;
  const index = vm.memmap.index(page);
  unlockAndPut(vm, page);
  throw new KernelError(
    "EIO",
    `the memory of page ${index} of file ${host.number} is bad: punch a hole to be rid of it`,
  );
}

/** Uncounts a page that was removed from the file, or frees the slot of one in swap. @see shmem_free_swap() */
function forget(mapping: AddressSpace, entry: number): void {
  if (isValue(entry)) {
    const word = entryValue(entry);
    if (!isSwapinError(word)) mapping.vm.swap.free(deviceOfEntry(word), slotOfEntry(word));
  }
  shmemInode(mapping).recount();
}

/** Uncounts the size of the file in Committed_AS. @see shmem_evict_inode() */
function evict(mapping: AddressSpace): void {
  const inode = shmemInode(mapping);
  mapping.vm.commit.uncharge(inode.committed);
  inode.committed = 0;
}
