// hetmem with arguments, as a user runs it: what it prints, and its status.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as commands from "../src/commands/commands.ts";
import { runProgram } from "../src/commands/program.ts";

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs hetmem as a user does. */
export async function hetmem(...args: string[]): Promise<Ran> {
  return hetmemWithInput("", ...args);
}

export async function hetmemWithInput(text: string, ...args: string[]): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), "hetmem-input-"));
  writeFileSync(join(folder, "input"), text);
  const input = openSync(join(folder, "input"), "r");
  try {
    return await runWith(input, args);
  } finally {
    closeSync(input);
    rmSync(folder, { recursive: true });
  }
}

async function runWith(input: number, args: readonly string[]): Promise<Ran> {
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
    input,
  };
  const status = await runProgram(args, { load: () => commands, terminal, version: "1.2.3" });
  return { status, out, err };
}
