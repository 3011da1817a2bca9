// Runs a whole script, or what was piped into the command, and writes its output as it comes.
import { run } from "@hetmem/kernel";
import type { Shell, ShellResult } from "./shell.ts";
import type { Terminal } from "./streams.ts";

/** @param args what `$1`, `$2` … are in the script */
export function runScript(
  shell: Shell,
  text: string,
  terminal?: Terminal,
  args: readonly string[] = [],
): ShellResult {
  return run(shell.execute(text, { args, ...(terminal ? { terminal } : {}) }));
}
