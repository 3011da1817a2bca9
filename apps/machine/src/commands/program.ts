// The command line of hetmem: its commands and options, and what every one of them does with an error. Exit status: 0, or
// what the shell says; 1 when something in the world is not as it should be; 2 when hetmem was called wrongly; 70 for a fault
// of hetmem's own.
import { Command, CommanderError, Option } from "commander";
import { nearestName, plainText } from "@hetmem/kernel";
import type { BootOptions } from "./boot.ts";
import type * as commands from "./commands.ts";
import type { ExplainOptions } from "./explain.ts";
import type { ExportOptions } from "./export.ts";
import { withMachineOptions } from "./machine-options.ts";
import type { PlanOptions } from "./plan.ts";
import { complain } from "./say.ts";
import type { ShOptions } from "./sh.ts";
import type { Terminal } from "./terminal.ts";

const MISUSED = 2;

/** The surroundings of the command line. */
export interface Surroundings {
  /** Gives the commands. They are read only when one is called for, for `--help` needs none of them. */
  load(): typeof commands;
  readonly terminal: Terminal;
  readonly version: string;
}

/** Runs `hetmem` with these arguments. @returns the exit status */
export async function runProgram(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { load, terminal } = surroundings;
  let status = 0;
  const program = buildProgram(surroundings, (code) => (status = code));
  const names = program.commands.map((command) => command.name());
  const [first] = args;
  if (first !== undefined && !first.startsWith("-") && ![...names, "help"].includes(first)) {
    complain(terminal, noSuchCommand(first, names));
    return MISUSED;
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED;
    return load().failWith(error, terminal);
  }
}

function noSuchCommand(typed: string, names: readonly string[]): string {
  const nearest = nearestName(typed, names);
  const meant = nearest === undefined ? "" : ` (did you mean ${nearest}?)`;
  return `there is no command "${typed}"${meant}: the commands are ${names.join(", ")}`;
}

function buildProgram({ load, terminal, version }: Surroundings, exit: (code: number) => void): Command {
  const program = new Command("hetmem")
    .description("A Linux machine with heterogeneous memory: boot it, type into it, break it on purpose.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.write(text),
      writeErr: (text) => terminal.writeError(plainText(text.replace(/^error: /, "hetmem: "))),
    })
    .showHelpAfterError("(hetmem --help shows what there is)")
    .addHelpText("after", HELP);
  withMachineOptions(program.command("boot", { isDefault: true }))
    .description(
      "build the machine and show its zones, its physical memory and what its struct pages cost (default)",
    )
    .option("--json", "print it for programs")
    .action((options: BootOptions) => load().boot(options, terminal));
  withMachineOptions(program.command("sh [script] [args...]"))
    .description("a shell on the machine: interactive, or running a script or what is piped into it")
    .option("-c, --command <commands>", "run these commands")
    .addOption(
      new Option(
        "--replay <transcript>",
        "run the commands of a capture and show what differs; status 1 if any does",
      ).conflicts("command"),
    )
    .option(
      "--explain",
      "say in our own words why the kernel refuses a write; an interactive shell always does",
    )
    .action(async (script: string | undefined, args: string[], options: ShOptions) =>
      exit(await load().sh(script === undefined ? [] : [script, ...args], options, terminal)),
    );
  withMachineOptions(program.command("export <dir>"))
    .description("write the machine's /proc and /sys below a folder")
    .option("--json", "print what was written for programs")
    .action((dir: string, options: ExportOptions) => load().exportTree(dir, options, terminal));
  withMachineOptions(program.command("plan <device>"))
    .description("what would become of the machine if this dax device, or this namespace, became RAM")
    .addOption(
      new Option("--zone <zone>", "who may use it: processes alone, or the kernel too")
        .choices(["movable", "kernel"])
        .default("movable"),
    )
    .option("--json", "print it for programs")
    .action((device: string, options: PlanOptions) => load().plan(device, options, terminal));
  withMachineOptions(program.command("explain <cgroup> [script] [args...]"))
    .description("who uses the memory that a cgroup pays for once a script has run, and why it was killed")
    .option("-c, --command <commands>", "run these commands instead of a script")
    .option("--json", "print it for programs")
    .action((cgroup: string, script: string | undefined, args: string[], options: ExplainOptions) =>
      load().explain(cgroup, script === undefined ? [] : [script, ...args], options, terminal),
    );
  return program;
}

const HELP = `
Without --from or --machine, the machine is a model of the host that hetmem runs on.

Examples:
  hetmem                                   this host, as a picture
  hetmem boot --from tree.tar.gz --json    a captured /proc and /sys, for programs
  hetmem sh --machine server.yaml          a shell on a machine of your own
  hetmem sh --from tree.tar.gz --replay transcript.txt --profile v6.1
  hetmem plan namespace0.0 --from tree.tar.gz --profile v6.1
  hetmem explain /web load.sh --machine server.yaml
  hetmem export --machine server.yaml DIR && lsmem --sysroot DIR`;
