// Signals of memory: an access that isn't allowed, bad memory, and the OOM killer. Each carries the kernel's code
// and, for messages, the reason of the signal as a sentence. Kernel counterparts: include/uapi/asm-generic/siginfo.h,
// force_sig_fault() in kernel/signal.c.
import type { VirtAddr } from "@hetmem/kernel";

/** A signal as the process receives it. @see siginfo_t */
export interface Signal {
  readonly signo: "SIGSEGV" | "SIGBUS" | "SIGKILL";
  readonly code: SignalCode;
  /** The byte that was accessed; for bad memory, the first byte of the page. */
  readonly address: VirtAddr;
  /** For bad memory: base-2 logarithm of the number of lost bytes. @see si_addr_lsb */
  readonly addressLsb?: number;
  /** The reason of the signal, for messages. */
  readonly reason: string;
}

/** @see include/uapi/asm-generic/signal.h */
export const SIGNAL_NUMBERS: Readonly<Record<Signal["signo"], number>> = {
  SIGBUS: 7,
  SIGKILL: 9,
  SIGSEGV: 11,
};

export type SignalCode =
  /** No mapping at the address. */
  | "SEGV_MAPERR"
  /** The mapping doesn't allow the access. */
  | "SEGV_ACCERR"
  /** Access beyond the end of the file, or to a device that is gone. */
  | "BUS_ADRERR"
  /** Bad memory that was accessed: action required. */
  | "BUS_MCEERR_AR"
  /** Bad memory that is mapped: action optional. */
  | "BUS_MCEERR_AO"
  /** Sent by the kernel, for example by the OOM killer. */
  | "SI_KERNEL";
