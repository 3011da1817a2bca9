// Who may look at the mappings of an address space, and who may change them: what the functions that count on the mmap lock
// ask of their callers. Kernel counterpart: include/linux/mmap_lock.h.
import { KernelBug } from "@hetmem/kernel";
import type { MmStruct } from "./mm-struct.ts";

/**
 * @param what the caller does: "is mirrored"
 * @throws KernelBug unless the mmap lock is held, for reading at least
 * @see mmap_assert_locked()
 */
export function mmapAssertLocked({ id, mmapLock }: MmStruct, what: string): void {
  if (mmapLock.readers === 0 && !mmapLock.writtenByCurrent)
    throw new KernelBug(`mm ${id} ${what} without its mmap lock`);
}

/** @throws KernelBug unless the mmap lock is held for writing @see mmap_assert_write_locked() */
export function mmapAssertWriteLocked({ id, mmapLock }: MmStruct, what: string): void {
  if (!mmapLock.writtenByCurrent)
    throw new KernelBug(`mm ${id} ${what} without its mmap lock held for writing`);
}
