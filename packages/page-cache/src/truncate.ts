// A file becomes shorter, or gets a hole: its pages there leave every address space, and then the page cache. Who faults
// meanwhile looks at the size and at the page's file once he has the page locked, and so can't bring one back. Kernel
// counterpart: mm/truncate.c.
import { condResched, KernelBug, type Page, PAGE_SIZE, type Sleeps } from "@hetmem/kernel";
import { isValue, MAX_INDEX, NO_INDEX } from "@hetmem/kernel/lib";
import type { MmStruct } from "@hetmem/mm";
import { type AddressSpace, cancelDirty, setPageDirty, waitOnWriteback } from "@hetmem/mm/file";
import { NULL_PAGE } from "@hetmem/page";
import { deleteFromPageCache, findLockPage, lockPageOf, unlockAndPut } from "./filemap.ts";
import type { Inode } from "./inode.ts";
import { unmapMappingRange } from "./unmap-mapping.ts";

/**
 * Sets the size of a file whose i_rwsem is held. What is behind the new end is gone for good, private copies included;
 * what is before it and was behind the old end reads as zeros.
 *
 * @param size bytes
 * @param mm who does it
 * @see truncate_setsize()
 */
export function* truncateSetsize(inode: Inode, size: number, mm?: MmStruct): Sleeps<void> {
  const { mapping } = inode;
  const shorter = size < inode.size;
  inode.size = size;
  if (!shorter) return;
  yield* mapping.invalidateLock.downWrite();
  try {
    const firstGone = Math.ceil(size / PAGE_SIZE);
    yield* unmapMappingRange(mapping, firstGone, MAX_INDEX - firstGone + 1, true);
    yield* truncateInodePages(mapping, size, Number.POSITIVE_INFINITY, mm);
    // A private mapping may have copied a page between the two.
    yield* unmapMappingRange(mapping, firstGone, MAX_INDEX - firstGone + 1, true);
    inode.store?.zero(size, Number.POSITIVE_INFINITY);
  } finally {
    mapping.invalidateLock.upWrite();
  }
}

/**
 * ftruncate(2).
 *
 * @param size bytes
 * @param mm who pays for what has to come back from swap; undefined: the kernel does it for itself
 * @throws KernelError EPERM where a seal forbids it
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
 * fallocate(FALLOC_FL_PUNCH_HOLE): the bytes [from, to) read as zeros, and take no memory as far as they are whole pages.
 * Private copies stay. The size doesn't change.
 *
 * @param mm who does it
 * @throws KernelError EPERM where a seal forbids it
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

/** Takes the whole pages within the bytes [from, to) out of all address spaces, but for private copies. */
export function* unmapHole(mapping: AddressSpace, from: number, to: number): Sleeps<void> {
  const first = Math.ceil(from / PAGE_SIZE);
  const end = Math.floor(to / PAGE_SIZE);
  if (end > first) yield* unmapMappingRange(mapping, first, end - first, false);
}

/**
 * Takes the whole pages within the bytes [from, to) out of the page cache, and zeroes what is in there of others.
 *
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
  // Pages may come while this sleeps, though not behind the end of the file: until a round finds none.
  // Ends: no page comes back behind the end of the file; within it, when other tasks have stopped to add some.
  for (;;) {
    let index = mapping.pages.find(first, end - 1);
    if (index === NO_INDEX) return;
    for (; index !== NO_INDEX; index = mapping.pages.find(index + 1, end - 1))
      yield* truncateIndex(mapping, index);
    yield condResched;
  }
}

/** What the page cache holds at an index goes. */
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

/** Takes a locked page out of its file, and out of all address spaces that still map it. @see truncate_inode_folio() */
export function* truncateInodePage(mapping: AddressSpace, page: Page): Sleeps<void> {
  const { vm, ops } = mapping;
  const { memmap } = vm;
  if (memmap.mapcount(page) > 0) yield* unmapMappingRange(mapping, memmap.index(page), 1, false);
  if (memmap.mapcount(page) > 0) throw new KernelBug(`page ${page} is mapped where its file doesn't know`);
  cancelDirty(vm, page);
  deleteFromPageCache(vm, page);
  ops.forget?.(mapping, page);
}

/** Zeroes bytes within one page, if the file has it. @see truncate_inode_partial_folio() */
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
