// The console blocks of a README: commands and what they print. `$ hetmem …` and `$ npm start -- …` run the program; a shell that
// one opens takes the lines behind `# `; any other `$ ` line is typed into the machine that the text above links to.
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { run } from "@hetmem/kernel";
import { createMachine, machineOfYaml, PROGRAMS, Shell } from "hetmem";
import { pathOfLink } from "./links.ts";
import { readText, ROOT } from "./workspace.ts";

export interface ConsoleBlock {
  readonly readme: string;
  /** Where it begins, for people. */
  readonly line: number;
  readonly steps: readonly ConsoleStep[];
  /** The last machine file that is linked to above; from the root. */
  readonly machine: string | undefined;
}

export interface ConsoleStep {
  readonly sign: "$" | "#";
  readonly command: string;
  /** Lines that are shown. `…` stands for any number of lines, and within a line for any text. */
  readonly shown: readonly string[];
}

/** @param readme path from the root */
export function consoleBlocks(readme: string, text = readText(readme)): ConsoleBlock[] {
  return [...text.matchAll(/^```console\n(.*?)^```$/gms)].map(({ index, 1: inside = "" }) => {
    const above = text.slice(0, index);
    const file = [...above.matchAll(/\]\((\S*fixtures\/machines\/\S+\.yaml)\)/g)].at(-1)?.[1];
    return {
      readme,
      line: above.split("\n").length,
      steps: stepsOf(inside),
      machine: file === undefined ? undefined : (pathOfLink(file) ?? join(dirname(readme), file)),
    };
  });
}

function stepsOf(inside: string): ConsoleStep[] {
  const steps: (ConsoleStep & { shown: string[] })[] = [];
  for (const line of inside.replace(/\n$/, "").split("\n")) {
    const [, sign, command = ""] = /^([$#]) (.*)$/.exec(line) ?? [];
    if (sign === "$" || sign === "#") steps.push({ sign, command, shown: [] });
    else if (steps.length === 0)
      throw new Error(`"${line}" is shown before a command: write the command, too`);
    else steps.at(-1)?.shown.push(line);
  }
  return steps;
}

/** Runs the commands of a block one after the other. @returns what each printed, by lines */
export function runBlock({ steps, machine }: ConsoleBlock): string[][] {
  let shell = machine === undefined ? undefined : shellOn(machine);
  return steps.map(({ sign, command }) => {
    const [, args] = /^(?:npm start --|hetmem) (.*)$/.exec(command) ?? [];
    const [, opened] = /^sh --machine (\S+)$/.exec(args ?? "") ?? [];
    if (opened !== undefined) shell = shellOn(opened);
    if (opened !== undefined) return [];
    if (args !== undefined) return linesOf(hetmem(args.split(" ")));
    if (shell === undefined) throw new Error(`${command}: no machine is named above it`);
    const { output, status } = run(shell.execute(command, { subshell: sign === "$" }));
    const ended = sign === "$" && status !== 0 ? [`[exit ${status}]`] : [];
    return [...linesOf(output), ...ended];
  });
}

function shellOn(file: string): Shell {
  const shell = new Shell(createMachine(machineOfYaml(readText(file), file, "v6.1")), PROGRAMS);
  // As at a prompt.
  shell.explainWith(({ reason }) => `    ${reason}\n`);
  return shell;
}

/** The output of the built program. */
function hetmem(args: readonly string[]): string {
  const program = join(ROOT, "apps/machine/dist/hetmem.cjs");
  return execFileSync(process.execPath, [program, ...args], { cwd: ROOT, encoding: "utf8", stdio: "pipe" });
}

function linesOf(text: string): string[] {
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
}

/** Whether what is shown is what was printed, where … stands for what is left out. */
export function isShown(shown: readonly string[], printed: readonly string[]): boolean {
  const pattern = shown.map((line) => (line === "…" ? "(?:.*\n)*" : `${literally(line)}\n`)).join("");
  return new RegExp(`^${pattern}$`).test(printed.map((line) => `${line.trimEnd()}\n`).join(""));
}

function literally(line: string): string {
  return line
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|\\[\]]/g, String.raw`\$&`))
    .join(".*");
}
