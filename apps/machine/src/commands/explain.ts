// `hetmem explain CGROUP`: runs a script on the machine, and tells what a cgroup of it pays for then, and what led to the
// kills in it.
import { explainText } from "@hetmem/memcg";
import { PROGRAMS, runScript, Shell } from "../shell/index.ts";
import { chooseMachine, type MachineOptions, readText } from "./choose-machine.ts";
import type { CreateMachine } from "./program.ts";
import type { Terminal } from "./terminal.ts";

export interface ExplainOptions extends MachineOptions {
  /** A line of commands to run before. */
  readonly command?: string;
  readonly json?: boolean;
}

/** What the script prints goes to the standard error, so that the explanation is alone on the output. */
export function explain(
  cgroup: string,
  [script, ...args]: readonly string[],
  options: ExplainOptions,
  createMachine: CreateMachine,
  terminal: Terminal,
): void {
  const text =
    script === undefined
      ? (options.command ?? terminal.readInput())
      : readText(script, "name a script of shell commands");
  const { spec, notices } = chooseMachine(options);
  for (const notice of notices) terminal.writeError(`hetmem: ${notice}\n`);
  const machine = createMachine(spec);
  const print = (output: string): void => terminal.writeError(output);
  runScript(new Shell(machine, PROGRAMS), text, { out: print, err: print }, args);
  const explanation = machine.cgroups.explain(cgroup);
  terminal.write(
    options.json
      ? `${JSON.stringify(explanation, undefined, 2)}\n`
      : explainText(explanation.attribution, explanation.ooms),
  );
}
