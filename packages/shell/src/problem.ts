// Errors and control flow that end a command of the shell early.
import { acrossCopies } from "@hetmem/kernel";
/** An error of the shell itself, which ends the script: an unset parameter under `set -u`, a division by zero. */
export class ShellProblem extends Error {
  static {
    acrossCopies(this, "ShellProblem");
  }

  override readonly name: string = "ShellProblem";
  readonly status: number;

  constructor(message: string, status = 2) {
    super(message);
    this.status = status;
  }
}

export type ControlKind = "exit" | "return" | "break" | "continue" | "interrupt" | "signal";

/** `exit`, `return`, `break`, `continue`, ^C and deadly signals: control that leaves commands from inside. */
export class ControlFlow extends Error {
  static {
    acrossCopies(this, "ControlFlow");
  }

  override readonly name = "ControlFlow";
  readonly kind: ControlKind;
  /** Exit status, or for loops how many of them. */
  readonly value: number;

  constructor(kind: ControlKind, value: number) {
    super(kind);
    this.kind = kind;
    this.value = value;
  }
}
