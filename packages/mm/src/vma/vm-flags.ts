// Access and behaviour of a mapping, as bits of Vma.flags, and the bits of the `prot` argument from which the access
// bits are made. The values of the VmFlag bits differ from the kernel's, which go past 32 bits. Kernel counterparts:
// VM_* in include/linux/mm.h, PROT_* in include/uapi/asm-generic/mman-common.h.

export const VmFlag = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  EXEC: 1 << 2,
  /** Writes are visible in every mapping of the same file or shared memory. */
  SHARED: 1 << 3,
  /** mprotect() may add READ. The next three allow WRITE, EXEC and SHARED in the same way. */
  MAYREAD: 1 << 4,
  MAYWRITE: 1 << 5,
  MAYEXEC: 1 << 6,
  MAYSHARE: 1 << 7,
  /** A stack: the mapping grows towards lower addresses. */
  GROWSDOWN: 1 << 8,
  /** Entries map bare frames: no struct page is counted, even if the frame has one. */
  PFNMAP: 1 << 9,
  LOCKED: 1 << 10,
  LOCKONFAULT: 1 << 11,
  /** Registers of a device. */
  IO: 1 << 12,
  SEQ_READ: 1 << 13,
  RAND_READ: 1 << 14,
  /** fork() leaves the mapping out of the child. */
  DONTCOPY: 1 << 15,
  DONTEXPAND: 1 << 16,
  /** Counted in Committed_AS. */
  ACCOUNT: 1 << 17,
  NORESERVE: 1 << 18,
  HUGEPAGE: 1 << 19,
  NOHUGEPAGE: 1 << 20,
  /** Entries put in by a driver: bare frames and pages, mixed. */
  MIXEDMAP: 1 << 21,
  SOFTDIRTY: 1 << 22,
  DONTDUMP: 1 << 23,
  WIPEONFORK: 1 << 24,
  /** Huge pages of the hugetlb pool. */
  HUGETLB: 1 << 25,
} as const;

/** Mappings that generic code must not merge, lock or move pages of. @see VM_SPECIAL */
export const VM_SPECIAL: number = VmFlag.IO | VmFlag.DONTEXPAND | VmFlag.PFNMAP | VmFlag.MIXEDMAP;
export const VM_LOCKED_MASK: number = VmFlag.LOCKED | VmFlag.LOCKONFAULT;
export const VM_ACCESS_FLAGS: number = VmFlag.READ | VmFlag.WRITE | VmFlag.EXEC;

/** Bits of the `prot` argument of mmap() and mprotect(). */
export const Prot = {
  NONE: 0,
  READ: 1,
  WRITE: 2,
  EXEC: 4,
  /** Accepted for atomic operations, and without effect. */
  SEM: 8,
  /** mprotect(): extend the change down to the start of the stack. */
  GROWSDOWN: 0x100_0000,
  GROWSUP: 0x200_0000,
} as const;

/**
 * Whether the pages are private and a write makes a copy.
 *
 * @param flags VmFlag bits
 * @see is_cow_mapping()
 */
export function isCowMapping(flags: number): boolean {
  return (flags & (VmFlag.SHARED | VmFlag.MAYWRITE)) === VmFlag.MAYWRITE;
}

/**
 * Whether the process may access the pages at all.
 *
 * @param flags VmFlag bits
 * @see vma_is_accessible()
 */
export function isAccessible(flags: number): boolean {
  return (flags & VM_ACCESS_FLAGS) !== 0;
}
