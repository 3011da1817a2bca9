// Runs commands: one method a kind of command, the sleeping ones all the way down to the store of a sysfs file. Every
// simple command is a place where another task of the machine may run. User space counterpart: shell/ash.c of busybox.
import type { Sleeps } from "@hetmem/kernel";
import { GlobPattern } from "@hetmem/vfs";
import { BUILTINS } from "./builtins.ts";
import { type ExpansionScope, expandPattern, expandWord, expandWords } from "./expand.ts";
import { Launcher, type Session } from "./launcher.ts";
import { ControlFlow, ShellProblem } from "./problem.ts";
import { Pipe } from "./pipe.ts";
import { runStages } from "./pipeline.ts";
import type { RunningProcess } from "./process-port.ts";
import type { ProgramEntry, Programs, ShellMachine } from "./program.ts";
import { redirect } from "./redirect.ts";
import { visible } from "./visible.ts";
import { ShellState } from "./state.ts";
import { type Descriptors, Input, outputOf, PipeOutput, TextOutput } from "./streams.ts";
import type { Assignment, Command, Redirection, SimpleCommand } from "./syntax/ast.ts";
import { plainText } from "./syntax/words.ts";

/** The depth of function calls. */
const DEPTH_MAX = 200;
/** The depth of commands within commands, function calls and substitutions included: the stack of the host is finite. */
const NESTING_MAX = 250;
/** `$?` after a name that no program has. */
const NOT_FOUND_STATUS = 127;

export class Interpreter {
  readonly machine: ShellMachine;
  readonly programs: Programs;
  readonly state: ShellState<Command>;
  readonly #session: Session;
  readonly #launcher: Launcher;
  /** The shell's own process; undefined for the first shell, which no signal ends. */
  readonly #process: RunningProcess | undefined;
  /** The number of enclosing conditions: in a condition a failure doesn't end the shell under `set -e`. */
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
    this.#launcher = new Launcher(machine, state, session, process);
  }

  /** Runs a command, and sets `$?`. @returns its exit status */
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
   * Runs a command on a copy of the state, in a process of its own; where the command is one program, that program is the
   * process. `exit`, `return` and errors in the command end the subshell only.
   */
  *runSubshell(command: Command, io: Descriptors): Sleeps<number> {
    const process = this.#isProgram(command) ? undefined : yield* this.fork();
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
    const ended = this.#launcher.endedBy(process.deadlySignal);
    this.#launcher.tellEnding(io);
    return ended;
  }

  /** Starts a process for a subshell. @throws ShellProblem when the machine has no memory for it */
  *fork(): Sleeps<RunningProcess> {
    return yield* this.#launcher.fork("sh");
  }

  /** Runs a command. `exit`, `return` and errors of the shell become its status, errors with a message. */
  *runToEnd(command: Command, io: Descriptors): Sleeps<number> {
    try {
      return yield* this.run(command, io);
    } catch (error) {
      if (error instanceof ControlFlow) {
        if (error.kind === "interrupt" || error.kind === "signal") throw error;
        return error.kind === "exit" || error.kind === "return" ? error.value : 0;
      }
      if (!(error instanceof ShellProblem)) throw error;
      const status = this.report(error, io);
      this.state.status = status;
      return status;
    }
  }

  /** Prints an error of the shell. @returns the status that goes with it */
  report({ message, status }: ShellProblem, io: Descriptors): number {
    outputOf(io, 2).write(`sh: ${visible(message)}\n`);
    return status;
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
    yield* this.#launcher.betweenCalls();
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
    this.#launcher.tellEnding(io);
    return status;
  }

  *#invoke(name: string, args: readonly string[], io: Descriptors): Sleeps<number> {
    const body = this.state.functions.get(name);
    if (body) return yield* this.#callFunction(body, args, io);
    const builtin = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
    if (builtin) return yield* this.#launcher.runBuiltin(builtin.run(this, args, io), io);
    const entry = this.#program(name);
    if (!entry) {
      outputOf(io, 2).write(`sh: ${visible(name)}: not found\n`);
      return NOT_FOUND_STATUS;
    }
    const exec = (program: string, ...rest: string[]): Sleeps<number> => this.#invoke(program, rest, io);
    return yield* this.#launcher.run({ entry, name, args, exec }, io);
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
    return yield* runStages(tasks, this.#launcher.processes);
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
}

function restore(variables: Map<string, string>, name: string, value: string | undefined): void {
  if (value === undefined) variables.delete(name);
  else variables.set(name, value);
}
