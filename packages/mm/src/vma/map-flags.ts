// What a process asks of mmap(), mremap(), mlock() and mlockall(), as numbers of the x86-64 interface. Kernel counterparts:
// include/uapi/linux/mman.h, include/uapi/asm-generic/mman.h.

/** Flags of mmap(). */
export const MapFlag = {
  SHARED: 0x01,
  PRIVATE: 0x02,
  /** SHARED, and flags that the file doesn't know are an error. */
  SHARED_VALIDATE: 0x03,
  /** The address is where, whatever is there. */
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  LOCKED: 0x2000,
  /** Not counted in Committed_AS, where that is allowed. */
  NORESERVE: 0x4000,
  /** Pages are there when mmap() returns. */
  POPULATE: 0x8000,
  NONBLOCK: 0x1_0000,
  STACK: 0x2_0000,
  HUGETLB: 0x4_0000,
  /** What was written is on the device as soon as it is flushed: persistent memory. */
  SYNC: 0x8_0000,
  /** The address is where, if nothing is there. */
  FIXED_NOREPLACE: 0x10_0000,
  /** With HUGETLB: the size of the pages, as its logarithm. */
  HUGE_2MB: 21 << 26,
  HUGE_1GB: 30 << 26,
} as const;

/** Where the logarithm of a size is among the flags; 0 is the default. */
export const MAP_HUGE_SHIFT = 26;
export const MAP_HUGE_MASK = 0x3f;

/** The bits that say whether a mapping is shared. @see MAP_TYPE */
export const MAP_TYPE = 0x0f;
/** Flags that a file system need not know to accept them. @see LEGACY_MAP_MASK */
export const LEGACY_MAP_MASK: number = ~(MapFlag.SYNC | MapFlag.FIXED_NOREPLACE);

export const MremapFlag = {
  MAYMOVE: 1,
  /** To the address that is given, whatever is there. */
  FIXED: 2,
  /** The old mapping stays, without pages. */
  DONTUNMAP: 4,
} as const;

/** Flag of mlock2(): pages are locked as they are touched. */
export const MLOCK_ONFAULT = 1;

/** Flags of mlockall(). */
export const Mcl = { CURRENT: 1, FUTURE: 2, ONFAULT: 4 } as const;

/** Advice of madvise(). @see MADV_NORMAL */
export const Madv = {
  NORMAL: 0,
  RANDOM: 1,
  SEQUENTIAL: 2,
  WILLNEED: 3,
  DONTNEED: 4,
  FREE: 8,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  HUGEPAGE: 14,
  NOHUGEPAGE: 15,
  DONTDUMP: 16,
  DODUMP: 17,
  WIPEONFORK: 18,
  KEEPONFORK: 19,
  COLD: 20,
  PAGEOUT: 21,
  POPULATE_READ: 22,
  POPULATE_WRITE: 23,
  DONTNEED_LOCKED: 24,
  COLLAPSE: 25,
  HWPOISON: 100,
  SOFT_OFFLINE: 101,
} as const;
