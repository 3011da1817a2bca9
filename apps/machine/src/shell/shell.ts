// A shell on a machine: it keeps variables and a directory from line to line, and answers each line with what a
// terminal would have shown and the exit status.
import type { KernelError, Sleeps } from "@hetmem/kernel";
import { Interpreter, type Session } from "./interpreter.ts";
import { ControlFlow, type ControlKind, ShellProblem } from "./problem.ts";
import type { RunningProcess } from "./process-port.ts";
import type { Programs, ShellMachine } from "./program.ts";
import { ShellState } from "./state.ts";
import { Input, type Terminal, TextOutput } from "./streams.ts";
import type { Command } from "./syntax/ast.ts";
import { parse } from "./syntax/parser.ts";
import { SyntaxProblem } from "./syntax/source.ts";

export interface ShellResult {
  /** Both streams in the order in which they were written. */
  readonly output: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  /** Whether the line left the shell. */
  readonly exited: boolean;
}

export interface ExecuteOptions {
  /** Hears the output while the line still runs. */
  readonly terminal?: Terminal;
  /** Runs the line in a process of its own, as the captures were taken: nothing it sets is seen by the next. */
  readonly subshell?: boolean;
  /** What `$1`, `$2` … are. */
  readonly args?: readonly string[];
}

/** Ways out of a command whose value is a status; of `break` it is a number of loops. */
const STATUS_KINDS: ReadonlySet<ControlKind> = new Set(["exit", "return", "interrupt"]);

export class Shell {
  readonly machine: ShellMachine;
  readonly programs: Programs;
  readonly #session: Session = {
    interrupted: false,
    explain: () => "",
    settle: () => this.#runRules(),
  };
  readonly #interpreter: Interpreter;

  constructor(machine: ShellMachine, programs: Programs) {
    this.machine = machine;
    this.programs = programs;
    this.#interpreter = new Interpreter(machine, programs, new ShellState<Command>(), this.#session);
  }

  get cwd(): string {
    return this.#interpreter.state.cwd;
  }

  /** The value of a variable. */
  variable(name: string): string | undefined {
    return this.#interpreter.state.parameter(name);
  }

  /** Says what is printed behind the words of strerror() when the machine refuses a write. */
  explainWith(explain: (error: KernelError) => string): void {
    this.#session.explain = explain;
  }

  /** Ends what runs before its next command, with status 130: what ^C asks for. */
  interrupt(): void {
    this.#session.interrupted = true;
  }

  /**
   * Runs a line, or a whole script. Nothing that a user can type throws; a KernelBug of the machine does.
   *
   * @throws KernelBug what a file's code throws when a rule is broken
   */
  *execute(text: string, { terminal, subshell = false, args }: ExecuteOptions = {}): Sleeps<ShellResult> {
    let output = "";
    const keep = (echo?: (text: string) => void) => (piece: string) => {
      output += piece;
      echo?.(piece);
    };
    const stdout = new TextOutput(keep(terminal && ((piece) => terminal.out(piece))));
    const stderr = new TextOutput(keep(terminal && ((piece) => terminal.err(piece))));
    const io = { 0: new Input(""), 1: stdout, 2: stderr };
    const { state } = this.#interpreter;
    const interpreter = subshell
      ? new Interpreter(this.machine, this.programs, state.copy(), this.#session)
      : this.#interpreter;
    if (args) interpreter.state.positional = args;
    this.#session.interrupted = false;
    yield* this.#runRules();
    const result = (status: number, exited: boolean): ShellResult => {
      interpreter.state.status = status;
      return { output, stdout: stdout.text, stderr: stderr.text, status, exited };
    };
    let process: RunningProcess | undefined;
    try {
      if (subshell) process = yield* interpreter.fork("sh");
      return result(yield* interpreter.run(parse(text), io), false);
    } catch (error) {
      if (error instanceof ControlFlow)
        return result(STATUS_KINDS.has(error.kind) ? error.value : 0, error.kind === "exit");
      const problem = error instanceof SyntaxProblem ? new ShellProblem(error.message) : error;
      return result(interpreter.report(problem, io), false);
    } finally {
      if (process) yield* process.exit();
    }
  }

  /** Does for devices that came what their rules say. Nobody sees what it prints; that it failed is in the log. */
  *#runRules(): Sleeps<void> {
    const { udev } = this.machine;
    for (let command = udev?.next(); command; command = udev?.next()) {
      const unseen = new TextOutput();
      const io = { 0: new Input(""), 1: unseen, 2: unseen };
      const session: Session = { interrupted: false, explain: () => "", *settle() {} };
      const interpreter = new Interpreter(this.machine, this.programs, new ShellState<Command>(), session);
      const status = yield* this.#statusOf(interpreter, command.run, io);
      if (status === 0) continue;
      const { log } = this.machine.kernel;
      log.printk(4, `udevd: ${command.device}: '${command.run}' failed with exit code ${status}.`);
      for (const line of unseen.text.split("\n").filter(Boolean)) log.printk(4, `udevd: ${line}`);
    }
  }

  *#statusOf(interpreter: Interpreter, text: string, io: Parameters<Interpreter["run"]>[1]): Sleeps<number> {
    try {
      return yield* interpreter.run(parse(text), io);
    } catch (error) {
      if (error instanceof ControlFlow) return error.value;
      const problem = error instanceof SyntaxProblem ? new ShellProblem(error.message) : error;
      return interpreter.report(problem, io);
    }
  }
}

/** Whether a text is the beginning of a command that goes on in the next line. */
export function isIncomplete(text: string): boolean {
  try {
    parse(text);
    return false;
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.incomplete;
    throw error;
  }
}
