// The locks that a reverse mapping walk holds, taken by whoever changes where a mapping is or which entries are in it: a
// walk sees either what was or what is, never neither. Kernel counterparts: take_rmap_locks() in mm/mremap.c, the locking
// of __vma_adjust() in mm/mmap.c.
import type { RwSemaphore, Sleeps } from "@hetmem/kernel";
import type { AddressSpace } from "../file/address-space.ts";
import type { MmStruct } from "../mm-struct.ts";
import type { AnonVma } from "../rmap/anon-vma.ts";
import type { Vma } from "./vma.ts";

/** What is held, in the order in which it was taken. */
export type RmapLocks = readonly RwSemaphore[];

/**
 * Locks the file of a mapping, then its anonymous family, for writing.
 *
 * @param anonVma of a mapping beside it, whose pages it is about to get, where it has no family itself
 * @see take_rmap_locks()
 */
export function* takeRmapLocks(vma: Vma, anonVma: AnonVma | undefined = vma.anonVma): Sleeps<RmapLocks> {
  const locks = [vma.file?.mapping?.iMmapRwsem, anonVma?.rwsem].filter((lock) => lock !== undefined);
  for (const lock of locks) yield* lock.downWrite();
  return locks;
}

/** @see drop_rmap_locks() */
export function dropRmapLocks(locks: RmapLocks): void {
  for (const lock of locks.toReversed()) lock.upWrite();
}

/** Takes the locks of all files and families that an address space maps. @see mm_take_all_locks() */
export function* mmTakeAllLocks({ vmas }: MmStruct): Sleeps<RwSemaphore[]> {
  const files = new Set<AddressSpace>();
  const families = new Set<AnonVma>();
  for (const vma of vmas) {
    const mapping = vma.file?.mapping;
    if (mapping) files.add(mapping);
    for (const { root } of vma.anonVmaChain) families.add(root);
  }
  // By number, so that no two ever take them in different orders.
  const locks = [
    ...[...files].sort((a, b) => a.id - b.id).map((mapping) => mapping.iMmapRwsem),
    ...[...families].sort((a, b) => a.id - b.id).map((root) => root.rwsem),
  ];
  for (const lock of locks) yield* lock.downWrite();
  return locks;
}
