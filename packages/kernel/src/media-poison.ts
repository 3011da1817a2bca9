// Bad ranges of the media behind physical addresses: the port between a driver that provides memory, an NVDIMM for example,
// and the drivers that use it, a dax device for example. Kernel counterparts: struct badblocks in include/linux/badblocks.h,
// nvdimm_clear_poison() in drivers/nvdimm/bus.c.
import type { Sleeps } from "./task.ts";
import type { PhysAddr } from "./units.ts";

/** Addresses are physical, sizes are in bytes. */
export interface MediaPoison {
  /** Known bad ranges that overlap [start, start + size); `end` is the last byte. */
  badRanges(start: PhysAddr, size: number): Iterable<{ readonly start: PhysAddr; readonly end: PhysAddr }>;
  /** Overwrites a bad range to make it readable. @returns whether it is readable now @see nvdimm_clear_poison() */
  clearPoison(start: PhysAddr, size: number): Sleeps<boolean>;
  /** Whether the media of a range is readable, listed as bad or not. */
  isReadable(start: PhysAddr, size: number): boolean;
  /** Adds a range to the list after a machine check. @see nfit_handle_mce() */
  machineCheck(start: PhysAddr, size: number): void;
}
