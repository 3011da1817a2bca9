// What 4.14 says of a page of a mapping: the page, and flags, in two words as everywhere in this package. Nothing is asked
// by page; the call says what is wanted of all of them. Kernel counterpart: HMM_PFN_* in include/linux/hmm.h of 4.14.

/** Bits of the flags word; none: the page is elsewhere, and a fault would bring it. */
export const HmmVmaPfn = {
  valid: 1 << 0,
  /** The mapping may be read. */
  read: 1 << 1,
  /** The process may write to it, and so may the device. */
  write: 1 << 2,
  /** What is there can't be mirrored. */
  error: 1 << 3,
  /** Nobody has touched it yet: the device may begin with zeros. */
  empty: 1 << 4,
  /** The mapping is of a kind that isn't mirrored. */
  special: 1 << 5,
  /** It lies in memory of a device that the cpu can't reach. */
  deviceUnaddressable: 1 << 6,
} as const;
