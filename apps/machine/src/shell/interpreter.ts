// Runs commands: one method a kind of command, the sleeping ones all the way down to the store of a sysfs file. Every
// simple command is a place where another task of the machine may run. User space counterpart: shell/ash.c of busybox.
import { condResched, KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { GlobPattern } from "@hetmem/vfs";
import { ArithmeticProblem } from "./arithmetic.ts";
import { BUILTINS } from "./builtins.ts";
import { type ExpansionScope, expandPattern, expandWord, expandWords } from "./expand.ts";
import { ControlFlow, ShellProblem } from "./problem.ts";
import { NO_PROCESSES, type RunningProcess } from "./process-port.ts";
import {
  type ProgramContext,
  type ProgramEntry,
  type Programs,
  type ShellMachine,
  UsageProblem,
} from "./program.ts";
import { redirect } from "./redirect.ts";
import { ShellState } from "./state.ts";
import { type Descriptors, Input, inputOf, outputOf, TextOutput } from "./streams.ts";
import type { Assignment, Command, Redirection, SimpleCommand } from "./syntax/ast.ts";
import { plainText } from "./syntax/words.ts";

/** Functions that call functions: as deep as this. */
const DEPTH_MAX = 200;
/** What `$?` is behind a program that SIGKILL ended. */
const KILLED_STATUS = 137;

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
  /** How many conditions we are in: there, failing isn't an error for `set -e`. */
  #tested = 0;
  #depth = 0;

  constructor(machine: ShellMachine, programs: Programs, state: ShellState<Command>, session: Session) {
    this.machine = machine;
    this.programs = programs;
    this.state = state;
    this.#session = session;
  }

  /** Runs a command. @returns its exit status, which `$?` is from then on */
  *run(command: Command, io: Descriptors): Sleeps<number> {
    this.state.status = yield* this.#dispatch(command, io);
    return this.state.status;
  }

  /**
   * Runs a command on a copy of the state, in a process of its own; a program that is all there is to run is that
   * process. Whatever ends the command ends the subshell only.
   */
  *runSubshell(command: Command, io: Descriptors): Sleeps<number> {
    const process = this.#isProgram(command) ? undefined : yield* this.fork("sh");
    const inner = new Interpreter(this.machine, this.programs, this.state.copy(), this.#session);
    inner.#tested = this.#tested;
    inner.#depth = this.#depth;
    try {
      return yield* inner.runToEnd(command, io);
    } finally {
      if (process) yield* process.exit();
    }
  }

  /** Runs a command and turns what would end the shell into its status and message. */
  *runToEnd(command: Command, io: Descriptors): Sleeps<number> {
    try {
      return yield* this.run(command, io);
    } catch (error) {
      if (error instanceof ControlFlow && error.kind !== "interrupt")
        return error.kind === "exit" || error.kind === "return" ? error.value : 0;
      if (error instanceof ControlFlow) throw error;
      const status = this.report(error, io);
      this.state.status = status;
      return status;
    }
  }

  /** Prints an error of the shell. @returns the status that goes with it; anything else is thrown on */
  report(error: unknown, io: Descriptors): number {
    if (!(error instanceof ShellProblem) && !(error instanceof ArithmeticProblem)) throw error;
    outputOf(io, 2).write(`sh: ${error.message}\n`);
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
    yield condResched;
    if (this.#session.interrupted) throw new ControlFlow("interrupt", 130);
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
    return yield* this.#withAssignments(command.assignments, redirected, () =>
      this.#invoke(name, rest, redirected),
    );
  }

  *#invoke(name: string, args: readonly string[], io: Descriptors): Sleeps<number> {
    const body = this.state.functions.get(name);
    if (body) return yield* this.#callFunction(body, args, io);
    const builtin = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
    if (builtin) return yield* this.#flushing("sh", io, builtin.run(this, args, io));
    const entry = this.#program(name);
    if (entry) return yield* this.#runProgram(entry, name, args, io);
    outputOf(io, 2).write(`sh: ${name}: not found\n`);
    return 127;
  }

  *#runProgram(entry: ProgramEntry, name: string, args: readonly string[], io: Descriptors): Sleeps<number> {
    const label = entry.builtin ? "sh" : (name.split("/").at(-1) ?? name);
    const context: ProgramContext = {
      name: label,
      machine: this.machine,
      vfs: this.machine.vfs,
      stdin: inputOf(io),
      out: (text) => outputOf(io, 1).write(text),
      err: (text) => outputOf(io, 2).write(text),
      path: (argument) => this.state.absolute(argument),
      environment: this.state.environment,
      exec: (program, ...rest) => this.#invoke(program, rest, io),
    };
    const process = entry.builtin ? undefined : yield* this.fork(label);
    let status: number;
    let killed = false;
    try {
      status = yield* this.#flushing(label, io, entry.run(context, name === "[" ? ["[", ...args] : args));
    } finally {
      if (process) killed = yield* process.exit();
    }
    if (process) yield* this.#session.settle();
    if (!killed) return status;
    outputOf(io, 2).write("Killed\n");
    return KILLED_STATUS;
  }

  /** Runs the body of a program, says what it complained of, and writes out what it held back. */
  *#flushing(label: string, io: Descriptors, body: Sleeps<number>): Sleeps<number> {
    let status: number;
    try {
      status = yield* body;
    } catch (error) {
      if (error instanceof UsageProblem) status = error.status;
      else if (error instanceof KernelError) status = 1;
      else throw error;
      outputOf(io, 2).write(
        `${label}: ${error instanceof KernelError ? strerror(error.errno) : error.message}\n`,
      );
    }
    try {
      yield* outputOf(io, 1).flush();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      outputOf(io, 2).write(
        `${label}: write error: ${strerror(error.errno)}\n${this.#session.explain(error)}`,
      );
      status = 1;
    }
    yield* outputOf(io, 2).flush();
    return status;
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

  /** Each stage runs to its end before the next begins: a pipe holds all that was written to it. */
  *#pipeline(stages: readonly Command[], io: Descriptors): Sleeps<number> {
    let status = 0;
    let piped: string | undefined;
    for (const [index, stage] of stages.entries()) {
      const pipe = index < stages.length - 1 ? new TextOutput() : undefined;
      const stageIo: Descriptors = {
        ...io,
        ...(piped === undefined ? {} : { 0: new Input(piped) }),
        ...(pipe ? { 1: pipe } : {}),
      };
      status = yield* this.runSubshell(stage, stageIo);
      piped = pipe?.text;
    }
    return status;
  }

  *#sequence(commands: readonly Command[], io: Descriptors): Sleeps<number> {
    let status = 0;
    for (const command of commands) status = yield* this.run(command, io);
    return status;
  }

  *#while({ until, condition, body }: Extract<Command, { kind: "while" }>, io: Descriptors): Sleeps<number> {
    let status = 0;
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

  assign(name: string, value: string): void {
    this.state.variables.set(name, value);
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
      return yield* (this.machine.processes ?? NO_PROCESSES).fork(name);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new ShellProblem(`can't fork: ${strerror(error.errno)}`);
    }
  }
}

function restore(variables: Map<string, string>, name: string, value: string | undefined): void {
  if (value === undefined) variables.delete(name);
  else variables.set(name, value);
}
