// What a program is to the shell: a generator from arguments to an exit status, which reads and writes through its
// context alone. Later packages add theirs to the table that a Shell is made with.
import { type Kernel, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { NvdimmBus } from "@hetmem/nvdimm";
import type { Vfs } from "@hetmem/vfs";
import type { CgroupExplanation } from "../machine/cgroups.ts";
import type { Gpus } from "../machine/devices/gpus.ts";
import type { ProcessPort } from "./process-port.ts";
import type { Input } from "./streams.ts";
import type { UserSpace } from "./user-space.ts";

/** As much of a machine as a shell needs; createMachine() gives more. */
export interface ShellMachine {
  readonly vfs: Vfs;
  readonly kernel: Kernel;
  /** `release` is what `uname -r` prints. */
  readonly spec: { readonly release: string };
  readonly processes?: ProcessPort;
  /** Who pays for memory: absent where there are no cgroups. @throws KernelError ENOENT, EOPNOTSUPP */
  readonly cgroups?: { explain(path: string): CgroupExplanation };
  /** What ndctl and gpu ask through ioctl: no bus where there is no persistent memory. */
  readonly devices?: { readonly nvdimm: NvdimmBus | undefined; readonly gpus: Gpus };
  /** Commands that wait to be run, for devices that came: the shell runs them before it takes the next line. */
  readonly udev?: { next(): { readonly device: string; readonly run: string } | undefined };
  /** Boots anew: absent where nobody can. */
  reboot?(): void;
}

export interface ProgramContext {
  /** What the program was called as. */
  readonly name: string;
  readonly machine: ShellMachine;
  readonly vfs: Vfs;
  readonly stdin: Input;
  out(text: string): void;
  err(text: string): void;
  /** The absolute path of an argument. */
  path(argument: string): string;
  /** Exported variables. */
  readonly environment: ReadonlyMap<string, string>;
  /** Runs another program with the same files open. @returns its status */
  exec(program: string, ...args: readonly string[]): Sleeps<number>;
}

/** A program; its value is the exit status. */
export type Program = (io: ProgramContext, args: readonly string[]) => Sleeps<number>;

export interface ProgramEntry {
  readonly run: Program;
  /** One line for `help`. */
  readonly summary: string;
  /** Part of the shell, as busybox has it: no process starts for it, and its messages begin with "sh". */
  readonly builtin?: boolean;
}

/** Programs by name. */
export type Programs = Readonly<Record<string, ProgramEntry>>;

/** A call that the program doesn't take: the message and status 1, or what `status` says. */
export class UsageProblem extends Error {
  override readonly name = "UsageProblem";
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** The words for what went wrong, as strerror() has them. Anything that the kernel wouldn't answer is thrown on. */
export function reasonOf(error: unknown): string {
  if (error instanceof KernelError) return strerror(error.errno);
  throw error;
}

/** Our own words for what went wrong: the line that goes behind a message of strerror(). */
export function explanationOf(error: KernelError): string {
  return `    ${error.reason}\n`;
}

/** @throws UsageProblem on a machine without processes: a bare file system */
export function userSpaceOf({ machine }: ProgramContext): UserSpace {
  const space = machine.processes?.userSpace;
  if (!space) throw new UsageProblem("this machine has no processes");
  return space;
}

/** Options and operands told apart as getopt(3) does: `-abc`, `-n5`, `-n 5`, `--`. */
export interface Options {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  /** Every value of an option that may be given more than once. */
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
}

/**
 * @param spec the letters a program takes, each with ":" behind it when it has a value: `"n:qv"`
 * @param long long names for them: `{ output: "o" }`
 * @throws UsageProblem
 */
export function parseOptions(
  args: readonly string[],
  spec: string,
  { long = {}, status = 1 }: { long?: Readonly<Record<string, string>>; status?: number } = {},
): Options {
  const flags = new Set<string>();
  const lists = new Map<string, string[]>();
  const operands: string[] = [];
  const rest = [...args];
  const takesValue = (letter: string): boolean => spec.includes(`${letter}:`);
  const give = (letter: string, value: string | undefined, shown: string): void => {
    if (value === undefined) throw new UsageProblem(`option requires an argument -- '${shown}'`, status);
    lists.set(letter, [...(lists.get(letter) ?? []), value]);
  };
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--") {
      operands.push(...rest.splice(0));
    } else if (argument.startsWith("--")) {
      const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(argument) ?? [];
      const letter = long[name];
      if (!letter) throw new UsageProblem(`unrecognized option '--${name}'`, status);
      if (takesValue(letter)) give(letter, value ?? rest.shift(), name);
      else flags.add(letter);
    } else if (argument.startsWith("-") && argument !== "-") {
      for (let at = 1; at < argument.length; at++) {
        const letter = argument.charAt(at);
        if (letter === ":" || !spec.includes(letter))
          throw new UsageProblem(`invalid option -- '${letter}'`, status);
        if (!takesValue(letter)) {
          flags.add(letter);
          continue;
        }
        give(letter, argument.slice(at + 1) || rest.shift(), letter);
        break;
      }
    } else {
      operands.push(argument);
    }
  }
  const values = new Map(Array.from(lists, ([letter, all]) => [letter, all.at(-1) ?? ""]));
  return { flags, values, lists, operands };
}

/** The lines of a text, without their ends; a last line without an end counts. */
export function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

/** What a filter works on: each named file, or what comes in when there is none. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/**
 * Reads the operands one after the other; one that can't be read is told of in the program's own words, and the others
 * are still read.
 *
 * @returns what could be read, and whether all of it could
 */
export function* readOperands(
  io: ProgramContext,
  operands: readonly string[],
  complain: (name: string, reason: string) => string = (name, reason) => `${name}: ${reason}`,
): Sleeps<{ inputs: NamedText[]; failed: boolean }> {
  const inputs: NamedText[] = [];
  let failed = false;
  for (const name of operands.length > 0 ? operands : ["-"]) {
    try {
      inputs.push({
        name,
        text: name === "-" ? yield* io.stdin.readAll() : yield* io.vfs.read(io.path(name)),
      });
    } catch (error) {
      io.err(`${io.name}: ${complain(name, reasonOf(error))}\n`);
      failed = true;
    }
  }
  return { inputs, failed };
}
