// Runs a whole script, or what was piped into the command, and writes its output as it comes.
import { BROKEN_STATUS, drive, tellBroken } from "./drive.ts";
import type { Shell } from "../shell.ts";
import type { Terminal } from "../streams.ts";

/**
 * @param args what `$1`, `$2` … are in the script
 * @returns the exit status
 */
export async function runScript(
  shell: Shell,
  text: string,
  terminal: Terminal,
  args: readonly string[] = [],
): Promise<number> {
  try {
    return (await drive(shell.execute(text, { args, terminal }))).status;
  } catch (error) {
    tellBroken(error, terminal);
    return BROKEN_STATUS;
  }
}
