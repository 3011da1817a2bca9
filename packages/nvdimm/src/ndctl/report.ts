// What commands of ndctl say while they work, in the program's words. Kernel counterpart: none, this is error() and err() of ndctl.
import { type Errno, KernelError, strerror } from "@hetmem/kernel";

/** Hears what a command says. The program prints it; who calls a command as a function has the KernelError alone. */
export interface NdctlReport {
  /** A reason; the last line of the command has the errno. @see error() in util/usage.c */
  error(text: string): void;
  /** A reason that stands in place of that last line. @see err() in ndctl/namespace.c */
  failure(text: string): void;
  /** @see warning() */
  warning(text: string): void;
  /** What the library says by itself; `caller` is the name of its function. @see err() in util/log.h */
  library(caller: string, text: string): void;
  /** What the library says only with `-v`. @see dbg() */
  debug(caller: string, text: string): void;
}

const nothing = (): void => {};
/** Nobody listens. */
export const UNHEARD: NdctlReport = {
  error: nothing,
  failure: nothing,
  warning: nothing,
  library: nothing,
  debug: nothing,
};

/** Says a reason, and makes it the reason of the error. */
export function refusal(report: NdctlReport, errno: Errno, text: string): KernelError {
  report.error(text);
  return new KernelError(errno, text.replaceAll("\n", "; "));
}

/** The same where the reason stands in place of the last line. */
export function failure(report: NdctlReport, errno: Errno, text: string): KernelError {
  report.failure(text);
  return new KernelError(errno, text.replaceAll("\n", "; "));
}

/** What a write to a file of /sys failed with, as the program says it. @see try() in ndctl/namespace.c */
export function failedStep(
  report: NdctlReport,
  device: string,
  step: string,
  error: KernelError,
): KernelError {
  report.failure(`${device}: ${step} failed: ${strerror(error.errno)}`);
  return error;
}
