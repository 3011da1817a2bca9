// Truncation and hole punching. The pages leave every address space first, then the page cache. A concurrent fault
// can't bring one back: it checks the page's mapping, and the size, after it has locked the page. Kernel counterpart:
// mm/truncate.c.
import { condResched, KernelBug, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import type { MmStruct } from "@hetmem/mm";
import { type AddressSpace, cancelDirty, setPageDirty, waitOnWriteback } from "@hetmem/mm/file";
import { NULL_PAGE } from "@hetmem/page";
import { deleteFromPageCache, findLockPage, lockPageOf, unlockAndPut } from "./filemap.ts";
import type { Inode } from "./inode.ts";
import { unmapMappingRange } from "./unmap-mapping.ts";

/**
 * Sets the size of a file. The i_rwsem is held for writing. Pages behind the new end are removed, private copies
 * included. If the file grows, the new bytes read as zeros.
 *
 * @param size bytes
 * @param mm process that is charged for a page swapped in to be zeroed in part; absent: the kernel itself
 * @see truncate_setsize()
 */
function* truncateSetsize(inode: Inode, size: number, mm?: MmStruct): Sleeps<void> {
  const { mapping } = inode;
  const shorter = size < inode.size;
  inode.size = size;
  if (!shorter) return;
  yield* mapping.invalidateLock.downWrite();
  try {
    const firstGone = Math.ceil(size / PAGE_SIZE);
    yield* unmapMappingRange(mapping, firstGone, MAX_INDEX - firstGone + 1, true);
    yield* truncateInodePages(mapping, size, Number.POSITIVE_INFINITY, mm);
    // A private mapping may have copied a page after the first unmap and before its removal.
    yield* unmapMappingRange(mapping, firstGone, MAX_INDEX - firstGone + 1, true);
    inode.store?.zero(size, Number.POSITIVE_INFINITY);
  } finally {
    mapping.invalidateLock.upWrite();
  }
}

/**
 * Sets the size of a file: ftruncate(2).
 *
 * @param size bytes
 * @param mm process that is charged for a page swapped in to be zeroed in part; absent: the kernel itself
 * @throws KernelError EPERM if a seal forbids the size
 */
export function* truncate(inode: Inode, size: number, mm?: MmStruct): Sleeps<void> {
  yield* inode.rwsem.downWrite();
  try {
    inode.checkResize(size);
    yield* truncateSetsize(inode, size, mm);
  } finally {
    inode.rwsem.upWrite();
  }
}

/**
 * Punches a hole: fallocate(FALLOC_FL_PUNCH_HOLE). The bytes [from, to) read as zeros afterwards, and whole pages among
 * them are freed. Private copies stay, and so does the size.
 *
 * @param from first byte
 * @param to byte behind the last
 * @param mm process that is charged for a page swapped in to be zeroed in part; absent: the kernel itself
 * @throws KernelError EPERM if a seal forbids the hole
 * @see truncate_pagecache_range()
 */
export function* punchHole(inode: Inode, from: number, to: number, mm?: MmStruct): Sleeps<void> {
  const { mapping } = inode;
  yield* inode.rwsem.downWrite();
  try {
    inode.checkPunch();
    yield* mapping.invalidateLock.downWrite();
  } catch (error) {
    inode.rwsem.upWrite();
    throw error;
  }
  try {
    yield* unmapHole(mapping, from, to);
    yield* truncateInodePages(mapping, from, to, mm);
    inode.store?.zero(from, to);
  } finally {
    mapping.invalidateLock.upWrite();
    inode.rwsem.upWrite();
  }
}

/** Unmaps the whole pages within the bytes [from, to) from all address spaces. Private copies stay mapped. */
function* unmapHole(mapping: AddressSpace, from: number, to: number): Sleeps<void> {
  const first = Math.ceil(from / PAGE_SIZE);
  const end = Math.floor(to / PAGE_SIZE);
  if (end > first) yield* unmapMappingRange(mapping, first, end - first, false);
}

/**
 * Removes the whole pages within the bytes [from, to) from the page cache, and zeroes the bytes in the pages at both
 * ends.
 *
 * @param from first byte
 * @param to byte behind the last
 * @param mm process that is charged for a page swapped in to be zeroed in part; absent: the kernel itself
 * @see truncate_inode_pages_range()
 */
export function* truncateInodePages(
  mapping: AddressSpace,
  from: number,
  to: number,
  mm?: MmStruct,
): Sleeps<void> {
  const first = Math.ceil(from / PAGE_SIZE);
  const end = Math.min(Math.floor(to / PAGE_SIZE), MAX_INDEX + 1);
  yield* zeroPartial(mapping, from, Math.min(to, first * PAGE_SIZE), mm);
  if (to > end * PAGE_SIZE && end >= first) yield* zeroPartial(mapping, end * PAGE_SIZE, to, mm);
  // Ends: no page is added behind the end of the file; within it, other tasks may add pages while this sleeps, and a
  // round finds none when they have stopped.
  for (;;) {
    let index = mapping.pages.find(first, end - 1);
    if (index === NO_INDEX) return;
    for (; index !== NO_INDEX; index = mapping.pages.find(index + 1, end - 1))
      yield* truncateIndex(mapping, index);
    yield condResched;
  }
}

/** Removes the page, or the value entry, at an index. */
function* truncateIndex(mapping: AddressSpace, index: number): Sleeps<void> {
  const { vm, ops } = mapping;
  const entry = mapping.pages.load(index);
  if (isValue(entry)) {
    mapping.pages.store(index, 0);
    ops.forget?.(mapping, entry);
    return;
  }
  const page = entry as Page;
  vm.memmap.getPage(page);
  if (!(yield* lockPageOf(mapping, page))) return;
  yield* waitOnWriteback(vm, page);
  yield* truncateInodePage(mapping, page);
  unlockAndPut(vm, page);
}

/**
 * Removes a locked page from its file, and from all address spaces that map it.
 *
 * @throws KernelBug if an address space maps the page that the file's mappings don't lead to
 * @see truncate_inode_folio()
 */
function* truncateInodePage(mapping: AddressSpace, page: Page): Sleeps<void> {
  const { vm, ops } = mapping;
  const { memmap } = vm;
  if (memmap.mapcount(page) > 0) yield* unmapMappingRange(mapping, memmap.index(page), 1, false);
  if (memmap.mapcount(page) > 0) throw new KernelBug(`page ${page} is mapped where its file doesn't know`);
  cancelDirty(vm, page);
  deleteFromPageCache(vm, page);
  ops.forget?.(mapping, page);
}

/** Zeroes bytes within one page, if the file has a page there. @see truncate_inode_partial_folio() */
function* zeroPartial(
  mapping: AddressSpace,
  from: number,
  to: number,
  mm: MmStruct | undefined,
): Sleeps<void> {
  if (from >= to) return;
  const { vm } = mapping;
  const index = Math.floor(from / PAGE_SIZE);
  const page = yield* mapping.ops.partialPage?.(mapping, index, mm) ?? findLockPage(mapping, index);
  if (page === NULL_PAGE) return;
  yield* waitOnWriteback(vm, page);
  vm.memmap.contents.bytes(page)?.fill(0, from - index * PAGE_SIZE, to - index * PAGE_SIZE);
  setPageDirty(vm, page);
  unlockAndPut(vm, page);
}
