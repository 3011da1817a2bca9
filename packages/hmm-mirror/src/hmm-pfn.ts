// What hmmRangeFault() says of a page, and what it is asked about it. An array of these is one Int32Array with two words
// an entry, as a page table has them: the page, and flags. The flags word is the top byte of the kernel's 64-bit value.
// Kernel counterpart: enum hmm_pfn_flags in include/linux/hmm.h.
import type { Page } from "@hetmem/kernel";

/** Bits of the flags word. What is asked for stands where the answer will. */
export const HmmPfn = {
  /** In: the page must be there. */
  reqFault: 1 << 7,
  /** In, with reqFault: and the process must be able to write to it. */
  reqWrite: 1 << 6,
  /** Out: there is a page, and the device may read it. */
  valid: 1 << 7,
  /** Out: the device may write to it. */
  write: 1 << 6,
  /** Out: nothing that could be mirrored, and a fault would not help. */
  error: 1 << 5,
  /** Out: the order of the cpu's mapping, in pages. @see hmmPfnToMapOrder() */
  orderMask: 31,
} as const;

/** An array for so many pages, which asks for nothing. */
export function allocHmmPfns(pages: number): Int32Array {
  return new Int32Array(pages * 2);
}

/** The page of an entry, NULL_PAGE where it isn't valid. @see hmm_pfn_to_page() */
export function hmmPfnToPage(hmmPfns: Int32Array, index: number): Page {
  return hmmPfns[index << 1] as Page;
}

/** HmmPfn bits of an entry. */
export function hmmPfnFlags(hmmPfns: Int32Array, index: number): number {
  return hmmPfns[(index << 1) | 1] as number;
}

/** Asks for something at one entry: HmmPfn.reqFault, reqWrite. It counts where the range's pfnFlagsMask lets it through. */
export function requestHmmPfn(hmmPfns: Int32Array, index: number, flags: number): void {
  hmmPfns[(index << 1) | 1] = flags;
}

/**
 * How large the cpu's mapping is that an entry is part of: 2 to the power of this many pages. The device may map as much
 * at once, as far as the range and its own alignment allow.
 *
 * @see hmm_pfn_to_map_order()
 */
export function hmmPfnToMapOrder(hmmPfns: Int32Array, index: number): number {
  return hmmPfnFlags(hmmPfns, index) & HmmPfn.orderMask;
}
