// hetmem with arguments, as a user runs it: what it prints, and its status.
import { runProgram } from "../src/commands/program.ts";
import { createMachine } from "../src/machine.ts";

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs hetmem as a user does. */
export async function hetmem(...args: string[]): Promise<Ran> {
  return hetmemWithInput("", ...args);
}

export async function hetmemWithInput(input: string, ...args: string[]): Promise<Ran> {
  let out = "";
  let err = "";
  const { stdin, stdout, stderr } = process;
  const terminal = {
    write: (text: string) => void (out += text),
    writeError: (text: string) => void (err += text),
    columns: 100,
    colours: false,
    self: "hetmem",
    streams: { input: stdin, output: stdout, error: stderr, terminal: false },
    printsToTerminal: false,
    readInput: () => input,
  };
  const status = await runProgram(args, { createMachine, terminal, version: "1.2.3" });
  return { status, out, err };
}
