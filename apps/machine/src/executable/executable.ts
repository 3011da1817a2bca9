// The executable: gives the command line its arguments and this process. It is bundled to dist/hetmem.cjs, and the commands, with
// the machine below them, to dist/commands.cjs beside it: `--help` doesn't read that.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type * as commands from "../commands/commands.ts";
import { runProgram } from "../commands/program.ts";
import { processTerminal } from "../commands/terminal.ts";
import { requireWithCode } from "./code-cache.ts";

/** The commands, which this process loads once: when the first is called for. */
let loaded: typeof commands | undefined;

function load(): typeof commands {
  loaded ??= requireWithCode(besides("commands.cjs")) as typeof commands;
  return loaded;
}

function besides(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

const terminal = processTerminal();
process.on("uncaughtException", (error) => process.exit(load().failWith(error, terminal)));
const { version } = JSON.parse(readFileSync(besides("../package.json"), "utf8"));
void runProgram(process.argv.slice(2), { load, terminal, version }).then((status) => {
  process.exitCode = status;
});
