// How ndctl and daxctl begin and end: commands by name, help, a refusal of the kernel as the status, misuse with the usage.
// User space counterparts: main() in ndctl/ndctl.c and daxctl/daxctl.c, util/main.c, util/help.c.
import { errnoNumber, type KernelError, type Sleeps } from "@hetmem/kernel";
import type { Program, ProgramContext, ShellMachine } from "@hetmem/shell";
import { parseToolOptions, ToolAnswer, USAGE_STATUS } from "@hetmem/shell/tool";
import "./version.ts";

/** A command of a tool; its value is the exit status. */
export type ToolCommand<M extends ShellMachine = ShellMachine> = (
  io: ProgramContext<M>,
  args: readonly string[],
) => Sleeps<number>;

/** Commands by name, in the order of `--list-cmds`. `help` and `version` are the tool's own. */
export type ToolCommands<M extends ShellMachine = ShellMachine> = Readonly<Record<string, ToolCommand<M>>>;

/** The version of Debian 12. */
const VERSION = "76.1";
const SHORTCUTS: ReadonlyMap<string, string> = new Map([
  ["-h", "help"],
  ["--help", "help"],
  ["-v", "version"],
  ["--version", "version"],
]);
/** Status of a command that ends with -1. */
const FAILED = 255;

/** A program of many commands. */
export function tool<M extends ShellMachine>(name: string, commands: ToolCommands<M>): Program<M> {
  return function* (io, args) {
    const [first, ...rest] = args;
    if (first === undefined) {
      io.out(helpText(name));
      return 1;
    }
    if (first === "--list-cmds") {
      io.out(`${Object.keys(commands).join("\n")}\n`);
      return 0;
    }
    const wanted = SHORTCUTS.get(first) ?? first;
    if (wanted.startsWith("-")) {
      io.err(`Unknown option: ${first}\n\n Usage: ${usageLine(name)}\n`);
      return USAGE_STATUS;
    }
    // `COMMAND --help` is `help COMMAND`.
    const [command, operands] = rest[0] === "--help" ? ["help", [wanted, ...rest.slice(1)]] : [wanted, rest];
    const run = Object.hasOwn(commands, command) ? commands[command] : undefined;
    if (!run) {
      io.err(`Unknown command: '${command}'\n`);
      return 1;
    }
    try {
      return yield* run(io, operands);
    } catch (error) {
      if (!(error instanceof ToolAnswer)) throw error;
      io[error.stream](error.text);
      return error.status;
    }
  };
}

/** `version`. */
export function* version(io: ProgramContext): Sleeps<number> {
  io.out(`${VERSION}\n`);
  return 0;
}

/** `help`: what there is. Of a command it shows the manual page, where there is a `man`: here there is none. */
export function helpOf(name: string): ToolCommand {
  return function* (io, args) {
    const { operands } = parseToolOptions(args, { line: `${name} help [command]`, options: [] });
    if (operands.length === 0) {
      io.out(helpText(name));
      return 0;
    }
    io.err("  Warning: failed to exec 'man': No such file or directory\nno man viewer handled the request");
    return FAILED;
  };
}

/** A command of the real program that is not modelled: it says so, and does nothing. */
export function notModelled(what: string): ToolCommand {
  return function* (io) {
    io.err(`${io.name}: ${what}: not modelled here\n`);
    return 1;
  };
}

/** The exit status of a program that ends with a refusal of the kernel: `-EBUSY` is 240. */
export function statusOf({ errno }: KernelError): number {
  return 256 - errnoNumber(errno);
}

/** "1 device", "2 devices". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function usageLine(name: string): string {
  return `${name} [--version] [--help] COMMAND [ARGS]`;
}

function helpText(name: string): string {
  return `\n usage: ${usageLine(name)}\n\n\n See '${name} help COMMAND' for more information on a specific command.\n ${name} --list-cmds to see all available commands\n\n`;
}
