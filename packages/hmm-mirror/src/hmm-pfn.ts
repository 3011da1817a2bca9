// Requests to and results of hmmRangeFault(), per page. An array of them is one Int32Array with two words per entry,
// as in a page table: the page, and flags. The flags word is the top byte of the kernel's 64-bit value. Kernel
// counterpart: enum hmm_pfn_flags in include/linux/hmm.h.
import type { Page } from "@hetmem/kernel";

/** Bits of the flags word. The result replaces the request. */
export const HmmPfn = {
  /** Input: fault the page in. */
  reqFault: 1 << 7,
  /** Input, with reqFault: fault for writing. */
  reqWrite: 1 << 6,
  /** Output: the entry has a page, which the device may read. */
  valid: 1 << 7,
  /** Output: the device may write to the page. */
  write: 1 << 6,
  /** Output: the address can't be mirrored, and a fault would not help. */
  error: 1 << 5,
  /** Output: order of the cpu's mapping, in pages. @see hmm_pfn_to_map_order() in include/linux/hmm.h */
  orderMask: 31,
} as const;

/** A zeroed array of `pages` entries, without requests. */
export function allocHmmPfns(pages: number): Int32Array {
  return new Int32Array(pages * 2);
}

/** The page of an entry; NULL_PAGE when it isn't valid. @see hmm_pfn_to_page() */
export function hmmPfnToPage(hmmPfns: Int32Array, index: number): Page {
  return hmmPfns[index << 1] as Page;
}

/** HmmPfn bits of an entry. */
export function hmmPfnFlags(hmmPfns: Int32Array, index: number): number {
  return hmmPfns[(index << 1) | 1] as number;
}

/** Sets the request of one entry: HmmPfn.reqFault, reqWrite. Only the bits in the range's pfnFlagsMask count. */
export function requestHmmPfn(hmmPfns: Int32Array, index: number, flags: number): void {
  hmmPfns[(index << 1) | 1] = flags;
}

/**
 * Sets the result of one entry, for an implementation of HmmRangeFault.
 *
 * @param page NULL_PAGE when the entry isn't valid
 * @param flags HmmPfn.valid, write, error, and the order
 */
export function answerHmmPfn(hmmPfns: Int32Array, index: number, page: Page, flags: number): void {
  hmmPfns[index << 1] = page;
  hmmPfns[(index << 1) | 1] = flags;
}

/**
 * Order in pages of the cpu mapping that contains an entry. The device may use a mapping of this size, within the
 * range and its own alignment.
 *
 * @see hmm_pfn_to_map_order()
 */
export function hmmPfnToMapOrder(hmmPfns: Int32Array, index: number): number {
  return hmmPfnFlags(hmmPfns, index) & HmmPfn.orderMask;
}
