// Results of 4.14's snapshots per page: the page and flags, in two words as everywhere in this package. Pages can't
// be requested singly; the call determines the access for all of them. Kernel counterpart: HMM_PFN_* in
// include/linux/hmm.h of 4.14.

/** Bits of the flags word. 0: the page isn't present, and a fault would provide it. */
export const HmmVmaPfn = {
  valid: 1 << 0,
  /** The mapping is readable. */
  read: 1 << 1,
  /** The entry is writable, so the device may write. */
  write: 1 << 2,
  /** The page can't be mirrored. */
  error: 1 << 3,
  /** Never touched: the device may start with zeros. */
  empty: 1 << 4,
  /** The mapping is of a type that isn't mirrored. */
  special: 1 << 5,
  /** The page is in device memory that the cpu can't address. */
  deviceUnaddressable: 1 << 6,
} as const;
