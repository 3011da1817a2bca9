// Port: handling of bad memory, for MADV_HWPOISON and MADV_SOFT_OFFLINE. MemoryFailure of the zone package is one; without any,
// both fail. Kernel counterpart: memory_failure() and soft_offline_page() in mm/memory-failure.c.
import type { Pfn, Sleeps } from "@hetmem/kernel";

/** Port: the handling of bad memory. MemoryFailure of the package zone implements it. */
export interface MemoryErrors {
  /** Takes a bad frame out of use. @param current the process that consumed the bad memory @see memory_failure() */
  hardOffline(frame: Pfn, current?: object): Sleeps<void>;
  /** Moves the contents of a frame that is about to fail, and takes the frame out of use. @see soft_offline_page() */
  softOffline(frame: Pfn): Sleeps<void>;
}
