// The number of a swap device and of a slot on it, in one number: page_private() of a page in the swap cache, and the
// value in the page cache for a page of tmpfs that is swapped out. Kernel counterpart: swp_entry_t,
// include/linux/swapops.h.
import type { Pfn } from "@hetmem/kernel";

const DEVICE_SHIFT = 26;
const SLOT_MASK: number = 2 ** DEVICE_SHIFT - 1;

/** Slots of one swap device at most: 2^26 pages of 4 KiB are 256 GiB. */
export const MAX_SLOTS: number = 2 ** DEVICE_SHIFT;

/** No swap entry. Slot 0 of each device holds the header of the swap area, so that no page is ever stored there. */
export const NO_SWAP_ENTRY = 0;

/** Packs a device number, 0 to 30, and a slot, below MAX_SLOTS, into one number. @see swp_entry() */
export function swapEntry(device: number, slot: number): number {
  return (device << DEVICE_SHIFT) | slot;
}

/**
 * The highest device number, which no swap device gets. An entry with it marks a page of a file that swap-in failed to
 * read.
 */
const SWAPIN_ERROR = 31;

/**
 * The entry that replaces that of a page which swap-in failed to read.
 *
 * @param frame frame the contents were to be read into
 * @see make_swapin_error_entry()
 */
export function swapinErrorEntry(frame: Pfn): number {
  return swapEntry(SWAPIN_ERROR, frame & SLOT_MASK);
}

/** Whether swap-in failed to read the page. @see is_swapin_error_entry() */
export function isSwapinError(entry: number): boolean {
  return deviceOfEntry(entry) === SWAPIN_ERROR;
}

/** The number of the swap device. @see swp_type() */
export function deviceOfEntry(entry: number): number {
  return entry >>> DEVICE_SHIFT;
}

/** The slot on the swap device. @see swp_offset() */
export function slotOfEntry(entry: number): number {
  return entry & SLOT_MASK;
}
