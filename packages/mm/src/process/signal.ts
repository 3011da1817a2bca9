// What a process is told when it touched what it must not, or when its memory is bad. Kernel counterparts:
// include/uapi/asm-generic/siginfo.h, force_sig_fault() in kernel/signal.c.
import type { VirtAddr } from "@hetmem/kernel";

/** @see siginfo_t */
export interface Signal {
  readonly signo: "SIGSEGV" | "SIGBUS" | "SIGKILL";
  readonly code: SignalCode;
  /** The byte that was touched; the page's first one for memory that is bad. */
  readonly address: VirtAddr;
  /** Of bad memory: 2 to this power bytes around the address are lost. @see si_addr_lsb */
  readonly addressLsb?: number;
  /** For people: why. */
  readonly reason: string;
}

/** @see include/uapi/asm-generic/signal.h */
export const SIGNAL_NUMBERS: Readonly<Record<Signal["signo"], number>> = {
  SIGBUS: 7,
  SIGKILL: 9,
  SIGSEGV: 11,
};

export type SignalCode =
  /** Nothing is mapped there. */
  | "SEGV_MAPERR"
  /** The mapping doesn't allow it. */
  | "SEGV_ACCERR"
  /** Behind the end of the file, or the device is gone. */
  | "BUS_ADRERR"
  /** The memory that was just read is bad: action required. */
  | "BUS_MCEERR_AR"
  /** Memory that is mapped is bad: action optional. */
  | "BUS_MCEERR_AO"
  /** Sent by the kernel, as the OOM killer does. */
  | "SI_KERNEL";
