// Messages of ndctl's commands and of its library, in the program's words. User space counterpart: error() in util/usage.c, err() in
// ndctl/namespace.c, util/log.h.
import { type Errno, KernelError, strerror } from "@hetmem/kernel";

/** Takes the messages of a command. The program prints them; a caller of the functions has the KernelError as well. */
export interface NdctlReport {
  /** A reason. The last line of the command has the errno. @see error() in util/usage.c */
  error(text: string): void;
  /** An error message that replaces the last line. @see err() in ndctl/namespace.c */
  failure(text: string): void;
  /** @see warning() */
  warning(text: string): void;
  /** A message of the library. `caller` is the name of its function. @see err() in util/log.h */
  library(caller: string, text: string): void;
  /** A message of the library that is printed with `-v` only. @see dbg() */
  debug(caller: string, text: string): void;
}

const nothing = (): void => {};
/** Drops every message. */
export const SILENT: NdctlReport = {
  error: nothing,
  failure: nothing,
  warning: nothing,
  library: nothing,
  debug: nothing,
};

/** Reports a reason, and makes it the reason of an error. */
export function refusal(report: NdctlReport, errno: Errno, text: string): KernelError {
  report.error(text);
  return new KernelError(errno, text.replaceAll("\n", "; "));
}

/** As refusal(), for a reason that stands in place of the last line. */
export function failure(report: NdctlReport, errno: Errno, text: string): KernelError {
  report.failure(text);
  return new KernelError(errno, text.replaceAll("\n", "; "));
}

/** Reports the step whose write to a file of /sys failed. @see try() in ndctl/namespace.c */
export function failedStep(
  report: NdctlReport,
  device: string,
  step: string,
  error: KernelError,
): KernelError {
  report.failure(`${device}: ${step} failed: ${strerror(error.errno)}`);
  return error;
}
