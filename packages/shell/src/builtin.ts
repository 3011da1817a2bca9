// The interface of a command that is part of the shell, and the part of the shell that such a command can change.
import type { Sleeps } from "@hetmem/kernel";
import type { ShellMachine } from "./program.ts";
import type { ShellState } from "./state.ts";
import type { Descriptors } from "./streams.ts";
import type { Command } from "./syntax/ast.ts";

/** The shell that a built-in command runs in. */
export interface BuiltinShell {
  readonly machine: ShellMachine;
  readonly state: ShellState<Command>;
  /** Programs by name, with their lines for `help`. */
  readonly programs: Readonly<Record<string, { readonly summary: string }>>;
  /** Runs a command in this shell. @returns its exit status */
  run(command: Command, io: Descriptors): Sleeps<number>;
  /** @throws ShellProblem when all variables together would be too large */
  assign(name: string, value: string): void;
}

export interface Builtin {
  /** One line for `help`. */
  readonly summary: string;
  /** @returns the exit status */
  readonly run: (shell: BuiltinShell, args: readonly string[], io: Descriptors) => Sleeps<number>;
}
