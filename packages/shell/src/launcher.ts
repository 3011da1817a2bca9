// Runs programs and built-in commands: a process for each program, its streams, its error messages, and the signal that
// ended it. A process that was sent a deadly signal never comes back to user mode, and so prints nothing more. User space
// counterpart: shell/ash.c of busybox (forkshell(), waitforjob()).
import { condResched, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { bytesOf, textOf } from "@hetmem/vfs";
import { wordsOfSignal } from "./endings.ts";
import { ControlFlow, ShellProblem } from "./problem.ts";
import { NO_PROCESSES, type ProcessPort, type RunningProcess } from "./process-port.ts";
import { type ProgramContext, type ProgramEntry, type ShellMachine, UsageProblem } from "./program.ts";
import type { ShellState } from "./state.ts";
import { type Descriptors, FileOutput, inputOf, outputOf } from "./streams.ts";
import type { Command } from "./syntax/ast.ts";
import { visible } from "./visible.ts";

/** `$?` of a child that a signal ended is this plus the number of the signal. */
const SIGNAL_STATUS = 128;
/** `$?` after a program that could not be started. */
const NOT_STARTED_STATUS = 126;
/** Bytes of one argument, with its zero. @see MAX_ARG_STRLEN in include/uapi/linux/binfmts.h */
const ARGUMENT_MAX = 131_072;
/** Bytes of all arguments and the environment: a quarter of the stack's limit of 8 MiB. @see bprm_stack_limits() */
const ARGUMENTS_MAX = 2_097_152;
const POINTER_BYTES = 8;
/** `$?` after ^C. */
const INTERRUPTED_STATUS = 130;

/** State that a shell, its subshells and the caller of Shell share. */
export interface Session {
  /** Set by ^C: the shell ends before its next command. */
  interrupted: boolean;
  /** The line after the words of strerror() for a refused write; "" in a shell that prints just what a real one does. */
  explain(error: KernelError): string;
  /** Runs when a program has ended, before the next begins. */
  settle(): Sleeps<void>;
}

/** One call of a program. */
export interface Call {
  readonly entry: ProgramEntry;
  readonly name: string;
  readonly args: readonly string[];
  /** Runs another program with the same files open. */
  readonly exec: ProgramContext["exec"];
}

export class Launcher {
  readonly #machine: ShellMachine;
  readonly #state: ShellState<Command>;
  readonly #session: Session;
  /** The shell's own process; undefined for the first shell, which no signal ends. */
  readonly #process: RunningProcess | undefined;
  /** The line about the signal that ended the last child, while the shell has not printed it. */
  #ending: string | undefined;

  constructor(
    machine: ShellMachine,
    state: ShellState<Command>,
    session: Session,
    process: RunningProcess | undefined,
  ) {
    this.#machine = machine;
    this.#state = state;
    this.#session = session;
    this.#process = process;
  }

  /** Runs a program. @returns its exit status, or 128 + the number of the signal that ended it */
  *run({ entry, name, args, exec }: Call, io: Descriptors): Sleeps<number> {
    if (!entry.builtin && isTooLong([name, ...args], this.#state.environment)) {
      outputOf(io, 2).write(`sh: ${visible(name)}: ${strerror("E2BIG")}\n`);
      return NOT_STARTED_STATUS;
    }
    const label = entry.builtin ? "sh" : (name.split("/").at(-1) ?? name);
    const process = entry.builtin ? undefined : yield* this.fork(label);
    const own = process ?? this.#process;
    const context = this.#context(label, io, own, exec);
    let status: number;
    try {
      status = yield* this.#flushing(
        label,
        io,
        own,
        entry.run(context, name === "[" ? ["[", ...args] : args),
      );
    } catch (error) {
      if (!process || !(error instanceof ControlFlow) || error.kind !== "signal") throw error;
      status = error.value;
    } finally {
      if (process) yield* process.exit();
    }
    if (process) yield* this.#session.settle();
    else if (outputOf(io, 1) instanceof FileOutput) yield* this.processes.reap?.() ?? nothing();
    return process?.deadlySignal === undefined ? status : this.endedBy(process.deadlySignal);
  }

  /** Runs a built-in command. @throws ControlFlow */
  *runBuiltin(body: Sleeps<number>, io: Descriptors): Sleeps<number> {
    return yield* this.#flushing("sh", io, this.#process, body);
  }

  /** Notes that a signal ended a child. @returns the value of `$?` for it */
  endedBy(signal: number): number {
    this.#ending = wordsOfSignal(signal);
    return SIGNAL_STATUS + signal;
  }

  /** @param process the program's own process; the shell's for a program that is part of the shell */
  #context(
    label: string,
    io: Descriptors,
    process: RunningProcess | undefined,
    exec: ProgramContext["exec"],
  ): ProgramContext {
    const write = (descriptor: number, text: string): void => {
      if (process?.deadlySignal === undefined) outputOf(io, descriptor).write(bytesAsText(text));
    };
    const turn = (): Sleeps<void> => this.betweenCalls(process);
    return {
      name: label,
      machine: this.#machine,
      vfs: this.#machine.vfs,
      stdin: inputOf(io),
      printsToTerminal: outputOf(io, 1).isTerminal,
      out: (text) => write(1, text),
      err: (text) => write(2, text),
      *turn() {
        yield* turn();
        yield* outputOf(io, 1).drain();
      },
      path: (argument) => this.#state.absolute(argument),
      environment: this.#state.environment,
      exec,
    };
  }

  /** Runs the body of a program, prints its error message, and flushes its output. */
  *#flushing(
    label: string,
    io: Descriptors,
    process: RunningProcess | undefined,
    body: Sleeps<number>,
  ): Sleeps<number> {
    const status = yield* this.#complaining(label, io, process, body);
    if (process?.deadlySignal !== undefined)
      throw new ControlFlow("signal", SIGNAL_STATUS + process.deadlySignal);
    return yield* this.#flush(label, io, status);
  }

  /** Runs the body and prints the message of an error. @returns the status of the body, or of the error */
  *#complaining(
    label: string,
    io: Descriptors,
    process: RunningProcess | undefined,
    body: Sleeps<number>,
  ): Sleeps<number> {
    try {
      return yield* body;
    } catch (error) {
      const ofProgram = error instanceof ShellProblem && label !== "sh";
      if (!(error instanceof UsageProblem) && !(error instanceof KernelError) && !ofProgram) throw error;
      if (process?.deadlySignal === undefined)
        outputOf(io, 2).write(
          `${label}: ${error instanceof KernelError ? strerror(error.errno) : visible(error.message)}\n`,
        );
      return error instanceof KernelError ? 1 : error.status;
    }
  }

  *#flush(label: string, io: Descriptors, status: number): Sleeps<number> {
    let flushed = status;
    try {
      yield* outputOf(io, 1).flush();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      outputOf(io, 2).write(
        `${label}: write error: ${strerror(error.errno)}\n${this.#session.explain(error)}`,
      );
      flushed = 1;
    }
    yield* outputOf(io, 2).flush();
    return flushed;
  }

  /** Lets other tasks of the machine run. @throws ControlFlow after ^C or a deadly signal */
  *betweenCalls(process: RunningProcess | undefined = this.#process): Sleeps<void> {
    yield condResched;
    if (this.#session.interrupted) throw new ControlFlow("interrupt", INTERRUPTED_STATUS);
    const signal = process?.deadlySignal;
    if (signal !== undefined) throw new ControlFlow("signal", SIGNAL_STATUS + signal);
  }

  /** Prints the line about a child that a signal ended. @see dowait() in shell/ash.c of busybox */
  tellEnding(io: Descriptors): void {
    const ending = this.#ending;
    this.#ending = undefined;
    if (ending !== undefined && this.#process?.deadlySignal === undefined)
      outputOf(io, 2).write(`${ending}\n`);
  }

  /** Starts a process. @throws ShellProblem when the machine has no memory for it */
  *fork(name: string): Sleeps<RunningProcess> {
    try {
      return yield* this.processes.fork(name);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new ShellProblem(`can't fork: ${strerror(error.errno)}`);
    }
  }

  get processes(): ProcessPort {
    return this.#machine.processes ?? NO_PROCESSES;
  }
}

function* nothing(): Sleeps<void> {}

/** Output is bytes: a text with other characters is encoded as UTF-8. */
function bytesAsText(text: string): string {
  return /[^\0-\xff]/.test(text) ? textOf(bytesOf(text)) : text;
}

/** Whether the arguments and the environment are too long for execve(2). @see bprm_stack_limits(), copy_strings() in fs/exec.c */
function isTooLong(args: readonly string[], environment: ReadonlyMap<string, string>): boolean {
  const strings = [...args, ...Array.from(environment, ([name, value]) => `${name}=${value}`)];
  const bytes = strings.reduce((sum, text) => sum + text.length + 1 + POINTER_BYTES, 0);
  return bytes > ARGUMENTS_MAX || strings.some((text) => text.length >= ARGUMENT_MAX);
}
