// A program: a generator from arguments to an exit status, which reads and writes through its context alone. A Shell is
// made with a table of programs and a machine; a program that asks for more than a file tree says so in the type of its
// machine, and the table then fits only such machines.
import type { Kernel, KernelError, Sleeps } from "@hetmem/kernel";
import type { Vfs } from "@hetmem/vfs";
import type { ProcessPort } from "./process-port.ts";
import type { Input } from "./streams.ts";

/** The port to the machine under the shell: a file tree, a log, a clock. A machine of `hetmem` has all of it. */
export interface ShellMachine {
  readonly vfs: Vfs;
  readonly kernel: Kernel;
  /** `uname -r` prints `release`. */
  readonly spec: { readonly release: string };
  readonly processes?: ProcessPort;
  /** Commands that wait to be run, for devices that came: the shell runs them before it takes the next line. */
  readonly udev?: { next(): { readonly device: string; readonly run: string } | undefined };
  /** Boots anew. Absent on a machine that is booted once. */
  reboot?(): void;
}

export interface ProgramContext<M extends ShellMachine = ShellMachine> {
  /** The name that the program was called by. */
  readonly name: string;
  readonly machine: M;
  readonly vfs: Vfs;
  readonly stdin: Input;
  /** Whether standard output is a terminal. @see isatty(3) */
  readonly printsToTerminal: boolean;
  out(text: string): void;
  err(text: string): void;
  /**
   * The place between two system calls: other tasks run, the reader of a pipe takes what was written, and ^C or a deadly
   * signal ends the program. A program that can go on for long calls it for each piece of its work.
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
export type Program<M extends ShellMachine = ShellMachine> = (
  io: ProgramContext<M>,
  args: readonly string[],
) => Sleeps<number>;

export interface ProgramEntry<M extends ShellMachine = ShellMachine> {
  readonly run: Program<M>;
  /** One line for `help`. */
  readonly summary: string;
  /** Part of the shell, as busybox has it: no process starts for it, and its messages begin with "sh". */
  readonly builtin?: boolean;
}

/** Programs by name. */
export type Programs<M extends ShellMachine = ShellMachine> = Readonly<Record<string, ProgramEntry<M>>>;

/** A wrong call of a program: its message, and its exit status. */
export class UsageProblem extends Error {
  override readonly name = "UsageProblem";
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}

/** The reason that a KernelError carries, as the line behind a message of strerror(). */
export function explanationOf(error: KernelError): string {
  return `    ${error.reason}\n`;
}

/** A program about processes was called where there are none. */
export function refuseWithoutProcesses(): never {
  throw new UsageProblem("this machine has no processes");
}
