// The results and flags of faults. A handler returns VmFault bits: errors become signals, RETRY and FALLBACK choose
// another path, and 0 lets the access be repeated. The numbers are the kernel's. Kernel counterparts: enum
// vm_fault_reason and enum fault_flag in include/linux/mm_types.h.

/** Result bits of a fault. 0: the fault was handled. @see enum vm_fault_reason */
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

/** Properties of the access that faulted. @see enum fault_flag */
export const FaultFlag = {
  WRITE: 1 << 0,
  /** The access came from user mode, so an error is a signal to the process. */
  USER: 1 << 1,
  /** The page must become exclusive to the process, without being written. @see FOLL_UNSHARE */
  UNSHARE: 1 << 2,
  REMOTE: 1 << 3,
  INSTRUCTION: 1 << 4,
} as const;
