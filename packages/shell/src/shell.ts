// A shell on a machine: it keeps variables and a directory from line to line, and answers each line with its output, as a
// terminal would have shown it, and its exit status.
import type { KernelError, Sleeps } from "@hetmem/kernel";
import { Interpreter } from "./interpreter.ts";
import type { Session } from "./launcher.ts";
import { ControlFlow, type ControlKind, ShellProblem } from "./problem.ts";
import type { RunningProcess } from "./process-port.ts";
import type { Program, Programs, ShellMachine } from "./program.ts";
import { ShellState } from "./state.ts";
import { type Descriptors, Input, LiveOutput, type Output, type Terminal, TextOutput } from "./streams.ts";
import type { Command } from "./syntax/ast.ts";
import { parse, Script } from "./syntax/parser.ts";
import { bytesOfText, textOfBytes } from "./terminal-text.ts";
import "./version.ts";

/** The answer to a line. The texts are empty where a terminal got them while the line ran. */
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
  /** Gets the output while the line runs. The result then holds no text. */
  readonly terminal?: Terminal;
  /** Runs the line in a process of its own, as the captures were taken: the next line sees no variable that it sets. */
  readonly subshell?: boolean;
  /** The values of `$1`, `$2` …. */
  readonly args?: readonly string[];
}

const INTERRUPTED_STATUS = 130;
/** Ways out of a command whose value is an exit status. The value of `break` and `continue` is a number of loops. */
const STATUS_KINDS: ReadonlySet<ControlKind> = new Set(["exit", "return", "interrupt", "signal"]);

export class Shell<M extends ShellMachine = ShellMachine> {
  readonly machine: M;
  /** The programs as the interpreter calls them: each has the machine already. */
  readonly programs: Programs;
  readonly #session: Session = {
    interrupted: false,
    explain: () => "",
    settle: () => this.#runRules(),
  };
  readonly #interpreter: Interpreter;

  /** @param programs programs that ask for no more than `machine` has */
  constructor(machine: M, programs: Programs<M>) {
    this.machine = machine;
    this.programs = programsOn(machine, programs);
    this.#interpreter = new Interpreter(machine, this.programs, new ShellState<Command>(), this.#session);
  }

  get cwd(): string {
    return this.#interpreter.state.cwd;
  }

  /** The value of a variable. */
  variable(name: string): string | undefined {
    const value = this.#interpreter.state.parameter(name);
    return value === undefined ? undefined : textOfBytes(value);
  }

  /** Sets the text that is printed after the words of strerror() when the machine refuses a write. */
  explainWith(explain: (error: KernelError) => string): void {
    this.#session.explain = explain;
  }

  /** ^C: the line that runs ends before its next command, with status 130. */
  interrupt(): void {
    this.#session.interrupted = true;
    this.#interpreter.state.status = INTERRUPTED_STATUS;
  }

  /**
   * Runs a line, or a whole script. Nothing that a user can type throws; a KernelBug of the machine does.
   *
   * @throws KernelBug when the code behind a file finds a broken invariant
   */
  *execute(text: string, { terminal, subshell = false, args }: ExecuteOptions = {}): Sleeps<ShellResult> {
    const kept = new Transcript();
    const [stdout, stderr] = terminal ? liveOutputs(terminal) : [kept.stdout, kept.stderr];
    const io = { 0: new Input(""), 1: stdout, 2: stderr };
    this.#session.interrupted = false;
    yield* this.#runRules();
    let process: RunningProcess | undefined;
    let interpreter = this.#interpreter;
    const result = (status: number, exited: boolean): ShellResult => {
      interpreter.state.status = status;
      return { ...kept.texts(), status, exited };
    };
    try {
      if (subshell) {
        process = yield* interpreter.fork();
        interpreter = new Interpreter(
          this.machine,
          this.programs,
          interpreter.state.copy(),
          this.#session,
          process,
        );
      }
      if (args) interpreter.state.positional = args.map(bytesOfText);
      return result(yield* runLines(interpreter, bytesOfText(text), io), false);
    } catch (error) {
      if (error instanceof ControlFlow)
        return result(STATUS_KINDS.has(error.kind) ? error.value : 0, error.kind === "exit");
      if (!(error instanceof ShellProblem)) throw error;
      return result(interpreter.report(error, io), false);
    } finally {
      if (process) yield* process.exit();
    }
  }

  /** Runs the commands of the rules for devices that came. Their output is dropped; a failure goes to the kernel log. */
  *#runRules(): Sleeps<void> {
    const { udev } = this.machine;
    // Ends: each turn takes a waiting command.
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
      if (!(error instanceof ShellProblem)) throw error;
      return interpreter.report(error, io);
    }
  }
}

/** Runs a script command by command as it is read: the commands before a syntax error have run. */
function* runLines(interpreter: Interpreter, text: string, io: Descriptors): Sleeps<number> {
  const script = new Script(text);
  let status = interpreter.state.status;
  // Ends: with the script, a command a turn.
  for (let command = script.next(); command; command = script.next())
    status = yield* interpreter.run(command, io);
  return status;
}

/** Both streams, each by itself and together in the order of the writes. */
class Transcript {
  readonly #all = new TextOutput();
  readonly stdout: TextOutput = new TextOutput((piece) => this.#all.write(piece));
  readonly stderr: TextOutput = new TextOutput((piece) => this.#all.write(piece));

  texts(): Pick<ShellResult, "output" | "stdout" | "stderr"> {
    return {
      output: textOfBytes(this.#all.text),
      stdout: textOfBytes(this.stdout.text),
      stderr: textOfBytes(this.stderr.text),
    };
  }
}

function liveOutputs(terminal: Terminal): [Output, Output] {
  const { isTerminal = false } = terminal;
  return [
    new LiveOutput((piece) => terminal.out(textOfBytes(piece)), isTerminal),
    new LiveOutput((piece) => terminal.err(textOfBytes(piece)), isTerminal),
  ];
}

/** Programs for machines of type M as programs for any machine: each is called with `machine`. */
function programsOn<M extends ShellMachine>(machine: M, programs: Programs<M>): Programs {
  const entries = Object.entries(programs).map(([name, entry]) => {
    const run: Program = (io, args) => entry.run({ ...io, machine }, args);
    return [name, { ...entry, run }] as const;
  });
  return Object.fromEntries(entries);
}
