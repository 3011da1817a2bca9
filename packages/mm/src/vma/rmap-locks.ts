// The locks of reverse mapping walks, taken before a change of a mapping's place or a move of its entries. A walk
// sees the state before or the state after the change, and never misses an entry. Kernel counterparts:
// take_rmap_locks() in mm/mremap.c, the locking of __vma_adjust() in mm/mmap.c.
import type { RwSemaphore, Sleeps } from "@hetmem/kernel";
import type { AddressSpace } from "../file/address-space.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import type { Vma } from "./vma.ts";

/** The held locks, in the order in which they were taken. */
export type RmapLocks = readonly RwSemaphore[];

/**
 * Takes the lock of a mapping's file, then the lock of its anon_vma, both for writing.
 *
 * @param anonVma the anon_vma of a neighbour whose pages the mapping is about to get, when the mapping has none of
 *   its own
 * @see take_rmap_locks()
 */
export function* takeRmapLocks(vma: Vma, anonVma: AnonVma | undefined = vma.anonVma): Sleeps<RmapLocks> {
  const locks = [vma.file?.mapping?.iMmapRwsem, anonVma?.rwsem].filter((lock) => lock !== undefined);
  for (const lock of locks) yield* lock.downWrite();
  return locks;
}

/** Releases the locks in reverse order. @see drop_rmap_locks() */
export function dropRmapLocks(locks: RmapLocks): void {
  for (const lock of locks.toReversed()) lock.upWrite();
}

/** Takes the locks of all files and anon_vmas that an address space maps. @see mm_take_all_locks() */
export function* mmTakeAllLocks({ vmas }: MmStruct): Sleeps<RwSemaphore[]> {
  const files = new Set<AddressSpace>();
  const roots = new Set<AnonVma>();
  for (const vma of vmas) {
    const mapping = vma.file?.mapping;
    if (mapping) files.add(mapping);
    for (const { root } of vma.anonVmaChain) roots.add(root);
  }
  // Sorted by id: two callers that took the same locks in different orders could deadlock.
  const locks = [
    ...[...files].sort((a, b) => a.id - b.id).map((mapping) => mapping.iMmapRwsem),
    ...[...roots].sort((a, b) => a.id - b.id).map((root) => root.rwsem),
  ];
  for (const lock of locks) yield* lock.downWrite();
  return locks;
}
