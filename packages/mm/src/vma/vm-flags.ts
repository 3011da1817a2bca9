// What a mapping allows and how it behaves. Kernel counterpart: VM_* in include/linux/mm.h; the bits are ours, since the
// kernel's go past 32.

export const VmFlag = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  EXEC: 1 << 2,
  /** Writes are seen by everybody who maps the same. */
  SHARED: 1 << 3,
  /** mprotect() may ask for it. */
  MAYREAD: 1 << 4,
  MAYWRITE: 1 << 5,
  MAYEXEC: 1 << 6,
  MAYSHARE: 1 << 7,
  /** A stack: it grows towards lower addresses. */
  GROWSDOWN: 1 << 8,
  /** Frames without struct pages that count. */
  PFNMAP: 1 << 9,
  LOCKED: 1 << 10,
  LOCKONFAULT: 1 << 11,
  /** A device's registers. */
  IO: 1 << 12,
  SEQ_READ: 1 << 13,
  RAND_READ: 1 << 14,
  /** Not given to children. */
  DONTCOPY: 1 << 15,
  DONTEXPAND: 1 << 16,
  /** Counted in Committed_AS. */
  ACCOUNT: 1 << 17,
  NORESERVE: 1 << 18,
  HUGEPAGE: 1 << 19,
  NOHUGEPAGE: 1 << 20,
  /** Frames and pages mixed, put there by a driver. */
  MIXEDMAP: 1 << 21,
  SOFTDIRTY: 1 << 22,
  DONTDUMP: 1 << 23,
  WIPEONFORK: 1 << 24,
  /** Huge pages from the reserved pool. */
  HUGETLB: 1 << 25,
} as const;

/** Mappings that no generic code may touch the pages of. @see VM_SPECIAL */
export const VM_SPECIAL: number = VmFlag.IO | VmFlag.DONTEXPAND | VmFlag.PFNMAP | VmFlag.MIXEDMAP;
export const VM_LOCKED_MASK: number = VmFlag.LOCKED | VmFlag.LOCKONFAULT;
export const VM_ACCESS_FLAGS: number = VmFlag.READ | VmFlag.WRITE | VmFlag.EXEC;

/** Bits of mmap()'s and mprotect()'s prot. */
export const Prot = {
  NONE: 0,
  READ: 1,
  WRITE: 2,
  EXEC: 4,
  /** For atomic operations: the same on every architecture that is left. */
  SEM: 8,
  /** Of mprotect(): from the beginning of the stack on. */
  GROWSDOWN: 0x100_0000,
  GROWSUP: 0x200_0000,
} as const;

/** Whether the pages are private and a write makes a copy. @see is_cow_mapping() */
export function isCowMapping(flags: number): boolean {
  return (flags & (VmFlag.SHARED | VmFlag.MAYWRITE)) === VmFlag.MAYWRITE;
}

/** Whether the process may reach the pages at all. @see vma_is_accessible() */
export function isAccessible(flags: number): boolean {
  return (flags & VM_ACCESS_FLAGS) !== 0;
}
