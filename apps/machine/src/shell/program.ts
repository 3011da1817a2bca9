// What a program is to the shell: a generator from arguments to an exit status, which reads and writes through its
// context alone. Later packages add theirs to the table that a Shell is made with.
import { type Kernel, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import type { NvdimmBus } from "@hetmem/nvdimm";
import type { Vfs } from "@hetmem/vfs";
import type { MemoryNode } from "@hetmem/zone";
import type { CgroupExplanation } from "../machine/cgroups.ts";
import type { Gpus } from "../machine/devices/gpus.ts";
import type { ProcessPort } from "./process-port.ts";
import { Input } from "./streams.ts";
import type { UserSpace } from "./user-space.ts";
import { visible } from "./visible.ts";
import { HELD_MAX, outOfMemory } from "./held.ts";

/** As much of a machine as a shell needs; createMachine() gives more. */
export interface ShellMachine {
  readonly vfs: Vfs;
  readonly kernel: Kernel;
  /** `release` is what `uname -r` prints. */
  readonly spec: { readonly release: string };
  readonly processes?: ProcessPort;
  /** Its nodes: a replay asks where their zones of device memory lie. */
  readonly memory?: { readonly nodes: readonly (Pick<MemoryNode, "zones"> | undefined)[] };
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
  /** Whether what it prints goes to a person. @see isatty(3) */
  readonly printsToTerminal: boolean;
  out(text: string): void;
  err(text: string): void;
  /**
   * Between two system calls: other tasks run, who reads the output takes of it, and ^C or a deadly signal ends the
   * program. Whatever can go on for long calls it, for each piece of its work.
   */
  turn(): Sleeps<void>;
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

/** What a filter works on: a named file, or what comes in where there is none. */
export interface NamedInput {
  readonly name: string;
  readonly input: Input;
}

/**
 * Opens the operands one after the other, as they are asked for; one that can't be opened is told of in the program's own
 * words, and the others are still read.
 */
export class Operands {
  /** Whether any could not be read. */
  failed = false;
  readonly #io: ProgramContext;
  readonly #names: readonly string[];
  readonly #complain: (name: string, reason: string) => string;
  #next = 0;

  constructor(
    io: ProgramContext,
    names: readonly string[],
    complain: (name: string, reason: string) => string = (name, reason) => `${name}: ${reason}`,
  ) {
    this.#io = io;
    this.#names = names.length > 0 ? names : ["-"];
    this.#complain = complain;
  }

  get count(): number {
    return this.#names.length;
  }

  /** The next one that can be opened; undefined behind the last. */
  next(): NamedInput | undefined {
    // Ends: each turn passes over a name.
    while (this.#next < this.#names.length) {
      const name = this.#names[this.#next++] ?? "-";
      if (name === "-") return { name, input: this.#io.stdin };
      try {
        return { name, input: new Input(this.#io.vfs.open(this.#io.path(name), "read")) };
      } catch (error) {
        this.refuse(name, error);
      }
    }
    return undefined;
  }

  /** Tells that an operand could not be read. Anything but the kernel's answer is thrown on. */
  refuse(name: string, error: unknown): void {
    this.#io.err(`${this.#io.name}: ${visible(this.#complain(name, reasonOf(error)))}\n`);
    this.failed = true;
  }

  /** Does something with each, whose reading may fail, too. */
  *each(use: (operand: NamedInput) => Sleeps<void>): Sleeps<void> {
    // Ends: with the operands.
    for (let operand = this.next(); operand; operand = this.next()) {
      try {
        yield* use(operand);
      } catch (error) {
        this.refuse(operand.name, error);
      }
    }
  }

  /** The lines of all of them, without their ends, until `use` says that it has seen enough. */
  *lines(use: (line: string) => Sleeps<boolean | void>): Sleeps<void> {
    let enough = false;
    yield* this.each(
      function* (this: Operands, { input }: NamedInput): Sleeps<void> {
        if (enough) return;
        // Ends: with the input, a line a turn.
        for (let line = yield* input.readLine(); line !== "" && !enough; line = yield* input.readLine()) {
          enough = (yield* use(withoutEnd(line))) === true;
          yield* this.#io.turn();
        }
      }.bind(this),
    );
  }

  /** All lines of all of them. @throws ShellProblem when they are more than a program holds */
  *allLines(): Sleeps<string[]> {
    const lines: string[] = [];
    let bytes = 0;
    yield* this.each(function* ({ input }) {
      const text = yield* input.readAll();
      bytes += text.length;
      if (bytes > HELD_MAX) outOfMemory("all input together");
      for (const line of linesOf(text)) lines.push(line);
    });
    return lines;
  }
}

/** A line without its newline. */
export function withoutEnd(line: string): string {
  return line.endsWith("\n") ? line.slice(0, -1) : line;
}
