// `hetmem sh`: a shell on the machine. It runs a script, what is piped into it, or a capture's commands; without any of
// these, on a terminal, it is interactive.
import { basename } from "node:path";
import { INPUT_BYTES_MAX, readOutsideText, readPipedText } from "@hetmem/host-capture/node";
import { plainText } from "@hetmem/kernel";
import { createPaint } from "@hetmem/report";
import type { Shell } from "@hetmem/shell";
import { interact, runScript } from "@hetmem/shell/node";
import { replayTranscript } from "@hetmem/transcript";
import { createMachine } from "../machine.ts";
import { openShell } from "../programs/open-shell.ts";
import { chooseMachine } from "./choose-machine.ts";
import type { MachineOptions } from "./machine-options.ts";
import { complain } from "./say.ts";
import type { Terminal } from "./terminal.ts";

const DIFFERENT = 1;

export interface ShOptions extends MachineOptions {
  /** A line of commands to run. */
  readonly command?: string;
  /** A capture to replay. */
  readonly replay?: string;
  /** Whether refusals are explained also without a terminal. */
  readonly explain?: boolean;
}

/** @returns the exit status */
export async function sh(
  [script, ...args]: readonly string[],
  options: ShOptions,
  terminal: Terminal,
): Promise<number> {
  const text =
    script === undefined
      ? undefined
      : readOutsideText({ file: script, bytesMax: INPUT_BYTES_MAX, fix: "name a script of shell commands" });
  const transcript =
    options.replay === undefined
      ? undefined
      : readOutsideText({ file: options.replay, bytesMax: INPUT_BYTES_MAX, fix: "give --replay a capture" });
  const { spec, notices } = chooseMachine(options);
  complain(terminal, ...notices);
  const shell = openShell(createMachine(spec));
  const echo = {
    isTerminal: terminal.printsToTerminal,
    out: (output: string) => terminal.write(output),
    err: (output: string) => terminal.writeError(output),
  };
  if (options.explain || (transcript === undefined && isInteractive(options, text, terminal))) {
    const paint = createPaint(terminal.colours);
    // A user at a terminal gets the reason, too, which a kernel doesn't give.
    shell.explainWith((error) => `    ${paint.dim(error.reason)}\n`);
  }
  if (transcript !== undefined) return replay(shell, basename(options.replay ?? ""), transcript, terminal);
  if (options.command !== undefined) return runScript(shell, options.command, echo);
  if (text !== undefined) return runScript(shell, text, echo, args);
  if (isInteractive(options, text, terminal)) return interact(shell, terminal.streams);
  return runScript(shell, readPipedText(terminal.input), echo);
}

function isInteractive({ command }: ShOptions, script: string | undefined, terminal: Terminal): boolean {
  return command === undefined && script === undefined && terminal.streams.terminal;
}

/**
 * The machine's answers go to standard output, so that they are a capture themselves; what differs goes to the other. Both
 * quote the transcript, which is text from outside.
 */
function replay(shell: Shell, name: string, transcript: string, terminal: Terminal): number {
  const { equal, differing, diff } = replayTranscript(shell, transcript, {
    name,
    onEntry: (text) => terminal.write(plainText(text)),
  });
  if (equal) return 0;
  terminal.writeError(plainText(diff));
  complain(terminal, `${differing.length} of ${name}'s commands answer otherwise here`);
  return DIFFERENT;
}
