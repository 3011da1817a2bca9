// Flag bits of mmap(), mremap(), mlock() and mlockall(), and advice of madvise(), with the numbers of the x86-64
// system call interface. VmFlag has the bits of mappings. Kernel counterparts: include/uapi/linux/mman.h,
// include/uapi/asm-generic/mman.h.

/** Flags of mmap(). */
export const MapFlag = {
  SHARED: 0x01,
  PRIVATE: 0x02,
  /** SHARED, and EOPNOTSUPP for flags that the file doesn't support. */
  SHARED_VALIDATE: 0x03,
  /** The mapping goes to exactly the given address and replaces mappings there. */
  FIXED: 0x10,
  ANONYMOUS: 0x20,
  GROWSDOWN: 0x100,
  LOCKED: 0x2000,
  /** Not counted in Committed_AS, unless vm.overcommit_memory is 2. */
  NORESERVE: 0x4000,
  /** The pages are faulted in before mmap() returns. */
  POPULATE: 0x8000,
  NONBLOCK: 0x1_0000,
  STACK: 0x2_0000,
  HUGETLB: 0x4_0000,
  /** Metadata is durable as soon as the written data is flushed from the cache: persistent memory only. */
  SYNC: 0x8_0000,
  /** The mapping goes to exactly the given address, and EEXIST if a mapping is there. */
  FIXED_NOREPLACE: 0x10_0000,
  /** With HUGETLB: the base-2 logarithm of the page size in bytes. */
  HUGE_2MB: 21 << 26,
  HUGE_1GB: 30 << 26,
} as const;

/** Shift of the page size's logarithm among the flags; a logarithm of 0 stands for the default size. */
export const MAP_HUGE_SHIFT = 26;
export const MAP_HUGE_MASK = 0x3f;

/** The bits of the mapping type: SHARED, PRIVATE or SHARED_VALIDATE. @see MAP_TYPE */
export const MAP_TYPE = 0x0f;
/** Flags that every file accepts with SHARED_VALIDATE. @see LEGACY_MAP_MASK */
export const LEGACY_MAP_MASK: number = ~(MapFlag.SYNC | MapFlag.FIXED_NOREPLACE);

export const MremapFlag = {
  MAYMOVE: 1,
  /** The mapping goes to exactly the given address and replaces mappings there. */
  FIXED: 2,
  /** The old mapping stays, without pages. */
  DONTUNMAP: 4,
} as const;

/** Flag of mlock2(): pages are locked when a fault brings them in. */
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
