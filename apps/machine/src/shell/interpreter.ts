// Runs commands: one method a kind of command, the sleeping ones all the way down to the store of a sysfs file. Every
// simple command is a place where another task of the machine may run. User space counterpart: shell/ash.c of busybox.
import { condResched, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { bytesOf, GlobPattern, textOf } from "@hetmem/vfs";
import { ArithmeticProblem } from "./arithmetic.ts";
import { BUILTINS } from "./builtins.ts";
import { type ExpansionScope, expandPattern, expandWord, expandWords } from "./expand.ts";
import { ControlFlow, ShellProblem } from "./problem.ts";
import { wordsOfSignal } from "./endings.ts";
import { Pipe } from "./pipe.ts";
import { runStages } from "./pipeline.ts";
import { NO_PROCESSES, type ProcessPort, type RunningProcess } from "./process-port.ts";
import {
  type ProgramContext,
  type ProgramEntry,
  type Programs,
  type ShellMachine,
  UsageProblem,
} from "./program.ts";
import { redirect } from "./redirect.ts";
import { visible } from "./visible.ts";
import { ShellState } from "./state.ts";
import { type Descriptors, FileOutput, Input, inputOf, outputOf, PipeOutput, TextOutput } from "./streams.ts";
import type { Assignment, Command, Redirection, SimpleCommand } from "./syntax/ast.ts";
import { plainText } from "./syntax/words.ts";

/** Functions that call functions: as deep as this. */
const DEPTH_MAX = 200;
/** Commands within commands, function calls and substitutions included: a real shell has as much stack as it likes. */
const NESTING_MAX = 250;
/** Behind it, the number of the signal that ended a child: what `$?` is then. */
const SIGNAL_STATUS = 128;
/** What `$?` is behind a name that no program has, and behind a program that could not be started. */
const NOT_FOUND_STATUS = 127;
const NOT_STARTED_STATUS = 126;
/** Bytes of one argument, with its zero. @see MAX_ARG_STRLEN in include/uapi/linux/binfmts.h */
const ARGUMENT_MAX = 131_072;
/** Bytes of all arguments and the environment: a quarter of the stack's limit of 8 MiB. @see bprm_stack_limits() */
const ARGUMENTS_MAX = 2_097_152;
const POINTER_BYTES = 8;
/** What `$?` is behind ^C. */
const INTERRUPTED_STATUS = 130;

/** What a shell and all its subshells share with whoever types into it. */
export interface Session {
  /** Set to end what runs before its next command. */
  interrupted: boolean;
  /** Words for a refusal beyond strerror()'s, a line of their own behind it; nothing in a shell that answers to the letter. */
  explain(error: KernelError): string;
  /** What happens when a program has ended, before the next begins. */
  settle(): Sleeps<void>;
}

export class Interpreter {
  readonly machine: ShellMachine;
  readonly programs: Programs;
  readonly state: ShellState<Command>;
  readonly #session: Session;
  /** The process that this shell is; undefined for the first, which no signal ends. */
  readonly #process: RunningProcess | undefined;
  /** How the last program ended, if by a signal: the shell that waited for it has still to say it. */
  #ending: string | undefined;
  /** How many conditions we are in: there, failing isn't an error for `set -e`. */
  #tested = 0;
  #depth = 0;
  #nesting = 0;

  constructor(
    machine: ShellMachine,
    programs: Programs,
    state: ShellState<Command>,
    session: Session,
    process?: RunningProcess,
  ) {
    this.machine = machine;
    this.programs = programs;
    this.state = state;
    this.#session = session;
    this.#process = process;
  }

  /** Runs a command. @returns its exit status, which `$?` is from then on */
  *run(command: Command, io: Descriptors): Sleeps<number> {
    if (this.#nesting >= NESTING_MAX)
      throw new ShellProblem(`commands are nested more than ${NESTING_MAX} deep`);
    this.#nesting++;
    try {
      this.state.status = yield* this.#dispatch(command, io);
      return this.state.status;
    } finally {
      this.#nesting--;
    }
  }

  /**
   * Runs a command on a copy of the state, in a process of its own; a program that is all there is to run is that
   * process. Whatever ends the command ends the subshell only.
   */
  *runSubshell(command: Command, io: Descriptors): Sleeps<number> {
    const process = this.#isProgram(command) ? undefined : yield* this.fork("sh");
    const inner = new Interpreter(
      this.machine,
      this.programs,
      this.state.copy(),
      this.#session,
      process ?? this.#process,
    );
    inner.#tested = this.#tested;
    inner.#depth = this.#depth;
    inner.#nesting = this.#nesting;
    let status: number;
    try {
      status = yield* inner.runToEnd(command, io);
    } catch (error) {
      if (!(error instanceof ControlFlow) || error.kind !== "signal") throw error;
      status = error.value;
    } finally {
      if (process) yield* process.exit();
    }
    if (process?.deadlySignal === undefined) return status;
    this.#ending = wordsOfSignal(process.deadlySignal);
    this.#tellEnding(io);
    return SIGNAL_STATUS + process.deadlySignal;
  }

  /** Runs a command and turns what would end the shell into its status and message. */
  *runToEnd(command: Command, io: Descriptors): Sleeps<number> {
    try {
      return yield* this.run(command, io);
    } catch (error) {
      if (error instanceof ControlFlow) {
        if (error.kind === "interrupt" || error.kind === "signal") throw error;
        return error.kind === "exit" || error.kind === "return" ? error.value : 0;
      }
      const status = this.report(error, io);
      this.state.status = status;
      return status;
    }
  }

  /** Prints an error of the shell. @returns the status that goes with it; anything else is thrown on */
  report(error: unknown, io: Descriptors): number {
    if (!(error instanceof ShellProblem) && !(error instanceof ArithmeticProblem)) throw error;
    outputOf(io, 2).write(`sh: ${visible(error.message)}\n`);
    return error instanceof ShellProblem ? error.status : 2;
  }

  *#dispatch(command: Command, io: Descriptors): Sleeps<number> {
    switch (command.kind) {
      case "simple":
        return this.#checked(yield* this.#simple(command, io));
      case "pipeline":
        return this.#checked(yield* this.#pipeline(command.stages, io));
      case "subshell":
        return this.#checked(yield* this.runSubshell(command.body, io));
      case "not":
        return (yield* this.#condition(command.body, io)) === 0 ? 1 : 0;
      case "and":
        return (yield* this.#condition(command.left, io)) === 0
          ? yield* this.run(command.right, io)
          : this.state.status;
      case "or":
        return (yield* this.#condition(command.left, io)) === 0 ? 0 : yield* this.run(command.right, io);
      case "sequence":
        return yield* this.#sequence(command.commands, io);
      case "if":
        if ((yield* this.#condition(command.condition, io)) === 0) return yield* this.run(command.body, io);
        return command.otherwise ? yield* this.run(command.otherwise, io) : 0;
      case "while":
        return yield* this.#while(command, io);
      case "for":
        return yield* this.#for(command, io);
      case "case":
        return yield* this.#caseOf(command, io);
      case "function":
        this.state.functions.set(command.name, command.body);
        return 0;
      case "redirected": {
        const redirected = yield* this.#redirect(command.redirections, io);
        return redirected ? yield* this.run(command.body, redirected) : this.#checked(1);
      }
    }
  }

  *#simple(command: SimpleCommand, io: Descriptors): Sleeps<number> {
    yield* this.#betweenCalls(this.#process);
    const args = yield* expandWords(command.words, this.#scope(io));
    const [name, ...rest] = args;
    const redirected = yield* this.#redirect(command.redirections, io);
    if (!redirected) return 1;
    if (name === undefined) {
      // The status is that of the last command substitution, if there was one.
      if (command.words.length === 0) this.state.status = 0;
      for (const assignment of command.assignments) yield* this.#assign(assignment, redirected);
      return this.state.status;
    }
    if (this.state.options.xtrace) outputOf(io, 2).write(`+ ${args.join(" ")}\n`);
    const status = yield* this.#withAssignments(command.assignments, redirected, () =>
      this.#invoke(name, rest, redirected),
    );
    this.#tellEnding(io);
    return status;
  }

  /** Other tasks of the machine run, and ^C or a deadly signal ends what runs here. @throws ControlFlow */
  *#betweenCalls(process: RunningProcess | undefined): Sleeps<void> {
    yield condResched;
    if (this.#session.interrupted) throw new ControlFlow("interrupt", INTERRUPTED_STATUS);
    const signal = process?.deadlySignal;
    if (signal !== undefined) throw new ControlFlow("signal", SIGNAL_STATUS + signal);
  }

  /** Prints what a shell does when a signal has ended a child that it waited for. @see dowait() in shell/ash.c of busybox */
  #tellEnding(io: Descriptors): void {
    const ending = this.#ending;
    this.#ending = undefined;
    if (ending !== undefined && this.#process?.deadlySignal === undefined)
      outputOf(io, 2).write(`${ending}\n`);
  }

  *#invoke(name: string, args: readonly string[], io: Descriptors): Sleeps<number> {
    const body = this.state.functions.get(name);
    if (body) return yield* this.#callFunction(body, args, io);
    const builtin = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
    if (builtin) return yield* this.#flushing("sh", io, this.#process, builtin.run(this, args, io));
    const entry = this.#program(name);
    if (!entry) {
      outputOf(io, 2).write(`sh: ${visible(name)}: not found\n`);
      return NOT_FOUND_STATUS;
    }
    if (!entry.builtin && isTooLong([name, ...args], this.state.environment)) {
      outputOf(io, 2).write(`sh: ${visible(name)}: ${strerror("E2BIG")}\n`);
      return NOT_STARTED_STATUS;
    }
    return yield* this.#runProgram(entry, name, args, io);
  }

  *#runProgram(entry: ProgramEntry, name: string, args: readonly string[], io: Descriptors): Sleeps<number> {
    const label = entry.builtin ? "sh" : (name.split("/").at(-1) ?? name);
    const process = entry.builtin ? undefined : yield* this.fork(label);
    const own = process ?? this.#process;
    const context = this.#context(label, io, own);
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
    else if (outputOf(io, 1) instanceof FileOutput) yield* this.#processes.reap?.() ?? nothing();
    if (process?.deadlySignal === undefined) return status;
    this.#ending = wordsOfSignal(process.deadlySignal);
    return SIGNAL_STATUS + process.deadlySignal;
  }

  /** @param process the one that the program is, or the shell's whose part it is */
  #context(label: string, io: Descriptors, process: RunningProcess | undefined): ProgramContext {
    // Who was sent a deadly signal never comes back to user mode, and so prints nothing more.
    const write = (descriptor: number, text: string): void => {
      if (process?.deadlySignal === undefined) outputOf(io, descriptor).write(bytesAsText(text));
    };
    const turn = (): Sleeps<void> => this.#betweenCalls(process);
    return {
      name: label,
      machine: this.machine,
      vfs: this.machine.vfs,
      stdin: inputOf(io),
      out: (text) => write(1, text),
      err: (text) => write(2, text),
      *turn() {
        yield* turn();
        yield* outputOf(io, 1).drain();
      },
      path: (argument) => this.state.absolute(argument),
      environment: this.state.environment,
      exec: (program, ...rest) => this.#invoke(program, rest, io),
    };
  }

  /** Runs the body of a program, says what it complained of, and writes out what it held back. */
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

  /** @returns the status of the body, or the one that goes with what it throws */
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

  *#callFunction(body: Command, args: readonly string[], io: Descriptors): Sleeps<number> {
    if (this.#depth >= DEPTH_MAX)
      throw new ShellProblem(`functions call each other more than ${DEPTH_MAX} deep`);
    const { positional } = this.state;
    const hidden = new Map<string, string | undefined>();
    this.state.positional = args;
    this.state.hidden.push(hidden);
    this.#depth++;
    try {
      return yield* this.run(body, io);
    } catch (error) {
      if (error instanceof ControlFlow && error.kind === "return") return error.value;
      throw error;
    } finally {
      this.#depth--;
      this.state.hidden.pop();
      this.state.positional = positional;
      for (const [name, value] of hidden) restore(this.state.variables, name, value);
    }
  }

  *#pipeline(stages: readonly Command[], io: Descriptors): Sleeps<number> {
    const pipes = stages.slice(1).map(() => new Pipe());
    const tasks = stages.map((stage, index) => {
      const from = pipes[index - 1];
      const to = pipes[index];
      const stageIo: Descriptors = {
        ...io,
        ...(from && { 0: new Input(from) }),
        ...(to && { 1: new PipeOutput(to) }),
      };
      return { task: this.runSubshell(stage, stageIo), from, to };
    });
    return yield* runStages(tasks, this.#processes);
  }

  get #processes(): ProcessPort {
    return this.machine.processes ?? NO_PROCESSES;
  }

  *#sequence(commands: readonly Command[], io: Descriptors): Sleeps<number> {
    let status = 0;
    for (const command of commands) status = yield* this.run(command, io);
    return status;
  }

  *#while({ until, condition, body }: Extract<Command, { kind: "while" }>, io: Descriptors): Sleeps<number> {
    let status = 0;
    // Ends: when the script says so; each command is a turn that ^C and signals can end.
    while (((yield* this.#condition(condition, io)) === 0) !== until) {
      const turn = yield* this.#turn(body, io);
      status = turn.status;
      if (turn.left) break;
    }
    return status;
  }

  *#for({ name, words, body }: Extract<Command, { kind: "for" }>, io: Descriptors): Sleeps<number> {
    let status = 0;
    for (const value of words ? yield* expandWords(words, this.#scope(io)) : this.state.positional) {
      this.assign(name, value);
      const turn = yield* this.#turn(body, io);
      status = turn.status;
      if (turn.left) break;
    }
    return status;
  }

  /** One turn of a loop's body; `left` after a break. */
  *#turn(body: Command, io: Descriptors): Sleeps<{ status: number; left: boolean }> {
    try {
      return { status: yield* this.run(body, io), left: false };
    } catch (error) {
      if (!(error instanceof ControlFlow) || (error.kind !== "break" && error.kind !== "continue"))
        throw error;
      if (error.value > 1) throw new ControlFlow(error.kind, error.value - 1);
      return { status: 0, left: error.kind === "break" };
    }
  }

  *#caseOf(command: Extract<Command, { kind: "case" }>, io: Descriptors): Sleeps<number> {
    const scope = this.#scope(io);
    const subject = yield* expandWord(command.subject, scope);
    for (const { patterns, body } of command.arms) {
      for (const pattern of patterns) {
        if (GlobPattern.parse(yield* expandPattern(pattern, scope)).matches(subject))
          return yield* this.run(body, io);
      }
    }
    return 0;
  }

  *#condition(command: Command, io: Descriptors): Sleeps<number> {
    this.#tested++;
    try {
      return yield* this.run(command, io);
    } finally {
      this.#tested--;
    }
  }

  #checked(status: number): number {
    if (status !== 0 && this.state.options.errexit && this.#tested === 0)
      throw new ControlFlow("exit", status);
    return status;
  }

  /** @throws ShellProblem when all variables together would be too large */
  assign(name: string, value: string): void {
    this.state.assign(name, value);
  }

  *#assign({ name, value }: Assignment, io: Descriptors): Sleeps<void> {
    this.assign(name, yield* expandWord(value, this.#scope(io)));
  }

  /** Assignments in front of a command hold while it runs, and it has them in its environment. */
  *#withAssignments(
    assignments: readonly Assignment[],
    io: Descriptors,
    body: () => Sleeps<number>,
  ): Sleeps<number> {
    const { variables, exported } = this.state;
    const before = assignments.map(({ name }) => ({
      name,
      value: variables.get(name),
      exported: exported.has(name),
    }));
    try {
      for (const assignment of assignments) {
        yield* this.#assign(assignment, io);
        exported.add(assignment.name);
      }
      return yield* body();
    } finally {
      for (const { name, value, exported: wasExported } of before.toReversed()) {
        restore(variables, name, value);
        if (!wasExported) exported.delete(name);
      }
    }
  }

  *#redirect(redirections: readonly Redirection[], io: Descriptors): Sleeps<Descriptors | undefined> {
    return yield* redirect(redirections, io, {
      vfs: this.machine.vfs,
      absolute: (path) => this.state.absolute(path),
      scope: (redirected) => this.#scope(redirected),
    });
  }

  #scope(io: Descriptors): ExpansionScope {
    const { state, machine } = this;
    return {
      parameter: (name) => state.parameter(name),
      assign: (name, value) => this.assign(name, value),
      positional: state.positional,
      unsetIsError: state.options.nounset,
      substitute: (body) => this.#substitute(body, io),
      glob: (pattern) => {
        if (pattern.startsWith("/")) return machine.vfs.glob(pattern);
        const base = state.absolute("").replaceAll(/[\\*?[\]]/g, String.raw`\$&`);
        return machine.vfs.glob(base + pattern).map((path) => path.slice(state.absolute("").length));
      },
    };
  }

  *#substitute(body: Command, io: Descriptors): Sleeps<string> {
    const output = new TextOutput();
    this.state.status = yield* this.runSubshell(body, { ...io, 1: output });
    return output.text;
  }

  #program(name: string): ProgramEntry | undefined {
    const base = name.includes("/") ? /^(?:\/usr)?\/s?bin\/([^/]+)$/.exec(name)?.[1] : name;
    return base !== undefined && Object.hasOwn(this.programs, base) ? this.programs[base] : undefined;
  }

  /** Whether the command is one program and nothing around it, which then needs no subshell process of its own. */
  #isProgram(command: Command): boolean {
    const name = command.kind === "simple" ? plainText(command.words[0] ?? []) : undefined;
    if (name === undefined || this.state.functions.has(name) || Object.hasOwn(BUILTINS, name)) return false;
    const entry = this.#program(name);
    return entry !== undefined && !entry.builtin;
  }

  /** Starts a process. @throws ShellProblem when the machine has no memory for it */
  *fork(name: string): Sleeps<RunningProcess> {
    try {
      return yield* this.#processes.fork(name);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new ShellProblem(`can't fork: ${strerror(error.errno)}`);
    }
  }
}

function* nothing(): Sleeps<void> {}

/** What a program writes is bytes: a text of other characters is meant as UTF-8. */
function bytesAsText(text: string): string {
  return /[^\0-\xff]/.test(text) ? textOf(bytesOf(text)) : text;
}

/** Whether a new program can't be given so much. @see bprm_stack_limits(), copy_strings() in fs/exec.c */
function isTooLong(args: readonly string[], environment: ReadonlyMap<string, string>): boolean {
  const strings = [...args, ...Array.from(environment, ([name, value]) => `${name}=${value}`)];
  const bytes = strings.reduce((sum, text) => sum + text.length + 1 + POINTER_BYTES, 0);
  return bytes > ARGUMENTS_MAX || strings.some((text) => text.length >= ARGUMENT_MAX);
}

function restore(variables: Map<string, string>, name: string, value: string | undefined): void {
  if (value === undefined) variables.delete(name);
  else variables.set(name, value);
}
