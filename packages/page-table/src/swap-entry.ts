// Where on which swap device a page lies, in one number: what a page in the swap cache carries in `private`. Kernel
// counterpart: swp_entry_t, include/linux/swapops.h.
import type { Pfn } from "@hetmem/kernel";

const DEVICE_SHIFT = 26;
const SLOT_MASK: number = 2 ** DEVICE_SHIFT - 1;

/** Slots that one device can have: 256 GiB. */
export const MAX_SLOTS: number = 2 ** DEVICE_SHIFT;

/** There is no slot: the first of a device holds its header. */
export const NO_SWAP_ENTRY = 0;

/** @see swp_entry() */
export function swapEntry(device: number, slot: number): number {
  return (device << DEVICE_SHIFT) | slot;
}

/** The last number of an area is none's: the file has lost the page, which swap could not give back. */
const SWAPIN_ERROR = 31;

/** What stands in a file for a page that swap could not give back. @see make_swapin_error_entry() */
export function swapinErrorEntry(frame: Pfn): number {
  return swapEntry(SWAPIN_ERROR, frame & SLOT_MASK);
}

/** @see is_swapin_error_entry() */
export function isSwapinError(entry: number): boolean {
  return deviceOfEntry(entry) === SWAPIN_ERROR;
}

/** @see swp_type() */
export function deviceOfEntry(entry: number): number {
  return entry >>> DEVICE_SHIFT;
}

/** @see swp_offset() */
export function slotOfEntry(entry: number): number {
  return entry & SLOT_MASK;
}
