#!/usr/bin/env node
// The executable: gives the command line its arguments, this process and the machine to boot.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { failWith } from "./commands/failure.ts";
import { runProgram } from "./commands/program.ts";
import { processTerminal } from "./commands/terminal.ts";
import { createMachine } from "./machine.ts";

const terminal = processTerminal();
process.on("uncaughtException", (error) => process.exit(failWith(error, terminal)));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
// A pattern of `grep` or `sed` that would be tried in more ways than there is time for is followed in all of them at once.
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
process.exitCode = await runProgram(process.argv.slice(2), {
  createMachine,
  terminal,
  version,
});
