// Assertions on the mmap lock, made by functions whose callers must hold it. The lock protects the mappings of an
// address space: readers may look them up and handle faults, a writer may change them. The explorer finds a caller
// without the lock by these assertions. Kernel counterpart: include/linux/mmap_lock.h.
import { KernelBug } from "@hetmem/kernel";
import type { MmStruct } from "./mm-struct.ts";

/**
 * Asserts that the mmap lock is held, at least for reading.
 *
 * @param what the operation, for the message: "is mirrored"
 * @throws KernelBug otherwise
 * @see mmap_assert_locked()
 */
export function mmapAssertLocked({ id, mmapLock }: MmStruct, what: string): void {
  if (mmapLock.readers === 0 && !mmapLock.writtenByCurrent)
    throw new KernelBug(`mm ${id} ${what} without its mmap lock`);
}

/**
 * Asserts that the mmap lock is held for writing.
 *
 * @param what the operation, for the message: "is mirrored"
 * @throws KernelBug otherwise
 * @see mmap_assert_write_locked()
 */
export function mmapAssertWriteLocked({ id, mmapLock }: MmStruct, what: string): void {
  if (!mmapLock.writtenByCurrent)
    throw new KernelBug(`mm ${id} ${what} without its mmap lock held for writing`);
}
