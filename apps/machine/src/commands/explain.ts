// `hetmem explain CGROUP`: runs a script on the machine, and tells what a cgroup of it pays for then, and what led to the
// kills in it.
import { explainText } from "@hetmem/explain";
import { INPUT_BYTES_MAX, readOutsideText, readPipedText } from "@hetmem/host-capture/node";
import { runScript } from "@hetmem/shell/node";
import { createMachine } from "../machine.ts";
import { openShell } from "../programs/open-shell.ts";
import { chooseMachine } from "./choose-machine.ts";
import type { MachineOptions } from "./machine-options.ts";
import { complain, say, sayJson } from "./say.ts";
import type { Terminal } from "./terminal.ts";

export interface ExplainOptions extends MachineOptions {
  /** A line of commands to run before. */
  readonly command?: string;
  readonly json?: boolean;
}

/** The output of the script goes to the standard error, so that the explanation is alone on the standard output. */
export async function explain(
  cgroup: string,
  [script, ...args]: readonly string[],
  options: ExplainOptions,
  terminal: Terminal,
): Promise<void> {
  const text =
    script === undefined
      ? (options.command ?? readPipedText(terminal.input))
      : readOutsideText({ file: script, bytesMax: INPUT_BYTES_MAX, fix: "name a script of shell commands" });
  const { spec, notices } = chooseMachine(options);
  complain(terminal, ...notices);
  const machine = createMachine(spec);
  const print = (output: string): void => terminal.writeError(output);
  await runScript(openShell(machine), text, { out: print, err: print }, args);
  const explanation = machine.cgroups.explain(cgroup);
  if (options.json) sayJson(terminal, explanation);
  else say(terminal, explainText(explanation.attribution, explanation.ooms).trimEnd());
}
