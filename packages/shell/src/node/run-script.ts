// Runs a whole script and writes its output while it runs.
import { BROKEN_STATUS, driveOnNode, tellBroken } from "./drive.ts";
import type { Shell } from "../shell.ts";
import type { Terminal } from "../streams.ts";

/**
 * @param args the values of `$1`, `$2` … in the script
 * @returns the exit status
 */
export async function runScript(
  shell: Shell,
  text: string,
  terminal: Terminal,
  args: readonly string[] = [],
): Promise<number> {
  try {
    return (await driveOnNode(shell.execute(text, { args, terminal }))).status;
  } catch (error) {
    tellBroken(error, terminal);
    return BROKEN_STATUS;
  }
}
