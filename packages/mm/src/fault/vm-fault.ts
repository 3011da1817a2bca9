// How a fault ends, and what it was about. Kernel counterparts: enum vm_fault_reason and enum fault_flag in
// include/linux/mm_types.h.

/** Bits. 0 is a fault that was handled. @see enum vm_fault_reason */
export const VmFault = {
  OOM: 0x1,
  SIGBUS: 0x2,
  MAJOR: 0x4,
  HWPOISON: 0x10,
  SIGSEGV: 0x40,
  NOPAGE: 0x100,
  LOCKED: 0x200,
  RETRY: 0x400,
  FALLBACK: 0x800,
  DONE_COW: 0x1000,
} as const;
export type VmFault = number;

export const VM_FAULT_ERROR: number =
  VmFault.OOM | VmFault.SIGBUS | VmFault.SIGSEGV | VmFault.HWPOISON | VmFault.FALLBACK;

/** @see enum fault_flag */
export const FaultFlag = {
  WRITE: 1 << 0,
  /** The process itself touched it, not the kernel for it: it gets a signal. */
  USER: 1 << 1,
  /** The page must become the process's alone, though it isn't written. @see gup's FOLL_UNSHARE */
  UNSHARE: 1 << 2,
  REMOTE: 1 << 3,
  INSTRUCTION: 1 << 4,
} as const;
