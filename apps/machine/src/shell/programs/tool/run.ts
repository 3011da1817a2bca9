// How ndctl and daxctl end: commands by name, a refusal of the kernel as the status, misuse with the usage.
import { errnoNumber, KernelError, type Sleeps } from "@hetmem/kernel";
import type { Program, ProgramContext } from "../../program.ts";
import { formatUsage, ToolUsageProblem } from "./options.ts";

/** A command of a tool; its value is the exit status. */
export type ToolCommand = (io: ProgramContext, args: readonly string[]) => Sleeps<number>;

/** The version of Debian 12. */
const VERSION = "76.1";

/** A program of many commands. */
export function tool(name: string, commands: Readonly<Record<string, ToolCommand>>): Program {
  return function* (io, [command = "", ...args]) {
    if (command === "--version") {
      io.out(`${VERSION}\n`);
      return 0;
    }
    if (command === "--list-cmds") {
      io.out(`${Object.keys(commands).join("\n")}\n`);
      return 0;
    }
    const run = commands[command];
    if (!run) {
      if (command === "" || command.startsWith("-")) io.out(helpText(name));
      else io.err(`Unknown command: '${command}'\n`);
      return 1;
    }
    try {
      return yield* run(io, args);
    } catch (error) {
      if (!(error instanceof ToolUsageProblem)) throw error;
      io.err(error.explanation + formatUsage(error.usage));
      return error.status;
    }
  };
}

/** What a refusal becomes when it is the result of the program: `-EBUSY` is 240. */
export function statusOf(error: unknown): number {
  if (error instanceof KernelError) return 256 - errnoNumber(error.errno);
  throw error;
}

/** "1 device", "2 devices". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function helpText(name: string): string {
  return `\n usage: ${name} [--version] [--help] COMMAND [ARGS]\n\n\n See '${name} help COMMAND' for more information on a specific command.\n ${name} --list-cmds to see all available commands\n\n`;
}
