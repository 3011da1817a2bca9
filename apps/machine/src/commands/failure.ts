// The last net below every command: what went wrong is one sentence, and a status.
import { KernelBug, KernelError } from "@hetmem/kernel";
import { hostMemoryReason } from "../machine/host-room.ts";
import { complain } from "./say.ts";
import type { Terminal } from "./terminal.ts";

const FAILED = 1;
/** @see EX_SOFTWARE in sysexits.h */
const OWN_FAULT = 70;

/** Prints an error for the user of hetmem. @returns the exit status */
export function failWith(error: unknown, terminal: Pick<Terminal, "writeError">): number {
  const reason = error instanceof KernelError ? error.reason : (fileErrorOf(error) ?? memoryErrorOf(error));
  complain(terminal, reason ?? faultOf(error));
  return reason === undefined ? OWN_FAULT : FAILED;
}

/** The answer of the host's own file system, with the path. */
function fileErrorOf(error: unknown): string | undefined {
  return error instanceof Error && "syscall" in error && "path" in error
    ? `the host answers ${error.message}`
    : undefined;
}

/** V8 gives no string of more than half a GiB. */
function memoryErrorOf(error: unknown): string | undefined {
  const tooLong =
    error instanceof RangeError && /Invalid (array buffer|typed array|string) length/.test(error.message);
  const reason = tooLong ? "the host gives hetmem no more memory" : hostMemoryReason(error);
  return reason && `${reason}: raise the limit (ulimit -v) or use a smaller machine`;
}

/** A fault of hetmem itself: the place where it broke is enough to mend it. */
function faultOf(error: unknown): string {
  if (!(error instanceof Error))
    return `this is a fault of hetmem: please report "${String(error)}" and the command`;
  const frame = /^\s+at (?:(.+) \()?.*\/([^/\s]+:\d+):\d+\)?$/m.exec(error.stack ?? "");
  const place = frame ? ` in ${frame[1] ?? "the program"} (${frame[2]})` : "";
  const name = error instanceof KernelBug ? "a rule of the kernel is broken" : error.name;
  return `this is a fault of hetmem: please report "${name}: ${firstLine(error.message)}"${place}, the command and its files`;
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
