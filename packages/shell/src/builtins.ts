// Commands that are part of the shell because they change its state: `cd`, `set`, `exit`, `read` and their like. A command
// that only reads and writes is a program, also where busybox runs it inside the shell.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { compareNames } from "@hetmem/vfs";
import type { Builtin, BuiltinShell } from "./builtin.ts";
import { ControlFlow, ShellProblem } from "./problem.ts";
import { withoutEnd } from "./operands.ts";
import { UsageProblem } from "./program.ts";
import type { ShellOptions } from "./state.ts";
import { type Descriptors, inputOf, outputOf } from "./streams.ts";
import { parse } from "./syntax/parser.ts";
import { ulimit } from "./ulimit.ts";

export const BUILTINS: Readonly<Record<string, Builtin>> = {
  ":": {
    summary: "nothing, with status 0",
    *run() {
      return 0;
    },
  },
  ".": { summary: "run a file of commands in this shell", run: source },
  break: { summary: "leave a loop", run: (_, args) => leaveLoop("break", args) },
  cd: { summary: "change the directory", run: changeDirectory },
  continue: { summary: "go on with the next turn of a loop", run: (_, args) => leaveLoop("continue", args) },
  eval: { summary: "run the arguments as a command", run: evaluateText },
  exit: { summary: "leave the shell", run: (shell, args) => leave("exit", shell, args) },
  export: { summary: "put variables into the environment", run: exportVariables },
  help: { summary: "list the commands", run: help },
  local: { summary: "variables of a function", run: localVariables },
  pwd: { summary: "print the directory", run: printDirectory },
  read: { summary: "read a line into variables", run: readVariables },
  return: { summary: "leave a function", run: (shell, args) => leave("return", shell, args) },
  set: { summary: "list variables, set options (-e -u -x) or arguments", run: set },
  shift: { summary: "drop the first argument", run: shift },
  ulimit: { summary: "limits of what the shell starts: -a -H -S -d -l -s -v", run: ulimit },
  unset: { summary: "forget variables", run: unset },
};

function* changeDirectory(
  shell: BuiltinShell,
  [target = shell.state.variables.get("HOME") ?? "/"]: readonly string[],
): Sleeps<number> {
  const { state, machine } = shell;
  const previous = target === "-";
  const wanted = previous ? (state.variables.get("OLDPWD") ?? state.cwd) : target;
  try {
    const path = machine.vfs.realpath(state.absolute(wanted));
    if (machine.vfs.stat(path).kind !== "directory")
      throw new KernelError("ENOTDIR", `${path} is not a directory`);
    shell.assign("OLDPWD", state.cwd);
    state.cwd = path;
    shell.assign("PWD", path);
    return 0;
  } catch (error) {
    if (error instanceof KernelError)
      throw new UsageProblem(`cd: can't cd to ${wanted}: ${strerror(error.errno)}`, 2);
    throw error;
  }
}

function* printDirectory(shell: BuiltinShell, _: readonly string[], io: Descriptors): Sleeps<number> {
  write(io, `${shell.state.cwd}\n`);
  return 0;
}

function* leave(kind: "exit" | "return", shell: BuiltinShell, [status]: readonly string[]): Sleeps<never> {
  if (status !== undefined && !/^\d+$/.test(status))
    throw new ShellProblem(`${kind}: Illegal number: ${status}`);
  throw new ControlFlow(kind, status === undefined ? shell.state.status : Number(status) & 0xff);
}

function* leaveLoop(kind: "break" | "continue", [levels = "1"]: readonly string[]): Sleeps<never> {
  throw new ControlFlow(kind, Math.max(1, Number(levels) || 1));
}

function* evaluateText(shell: BuiltinShell, args: readonly string[], io: Descriptors): Sleeps<number> {
  return yield* runText(shell, args.join(" "), io);
}

function* source(shell: BuiltinShell, [file]: readonly string[], io: Descriptors): Sleeps<number> {
  if (file === undefined) throw new UsageProblem(".: filename argument required", 2);
  try {
    return yield* runText(shell, yield* shell.machine.vfs.read(shell.state.absolute(file)), io);
  } catch (error) {
    if (error instanceof KernelError)
      throw new ShellProblem(`.: can't open '${file}': ${strerror(error.errno)}`);
    throw error;
  }
}

function* runText(shell: BuiltinShell, text: string, io: Descriptors): Sleeps<number> {
  return yield* shell.run(parse(text), io);
}

function* exportVariables(shell: BuiltinShell, args: readonly string[], io: Descriptors): Sleeps<number> {
  if (args.length === 0 || args[0] === "-p") {
    for (const [name, value] of [...shell.state.environment].sort())
      write(io, `export ${name}=${quote(value)}\n`);
  }
  for (const argument of args.filter((text) => !text.startsWith("-")))
    shell.state.exported.add(assignArgument(shell, argument));
  return 0;
}

function* localVariables(shell: BuiltinShell, args: readonly string[]): Sleeps<number> {
  const hidden = shell.state.hidden.at(-1);
  if (!hidden) throw new ShellProblem("local: not in a function");
  for (const argument of args) {
    const name = argument.replace(/=.*/s, "");
    if (!hidden.has(name)) hidden.set(name, shell.state.variables.get(name));
    assignArgument(shell, argument);
  }
  return 0;
}

function* readVariables(shell: BuiltinShell, args: readonly string[], io: Descriptors): Sleeps<number> {
  const raw = args.includes("-r");
  const names = args.filter((argument) => !argument.startsWith("-"));
  const read = yield* inputOf(io).readLine();
  const status = read.endsWith("\n") ? 0 : 1;
  const line = raw ? withoutEnd(read) : withoutEnd(read).replaceAll(/\\(.)/gs, "$1");
  const separators = shell.state.variables.get("IFS") ?? " \t\n";
  let rest = trim(line, separators);
  (names.length > 0 ? names : ["REPLY"]).forEach((name, index, all) => {
    const at = index === all.length - 1 ? -1 : firstOf(rest, separators);
    shell.assign(name, at < 0 ? rest : rest.slice(0, at));
    rest = at < 0 ? "" : trim(rest.slice(at + 1), separators);
  });
  return status;
}

const OPTIONS: Readonly<Record<string, keyof ShellOptions>> = { e: "errexit", u: "nounset", x: "xtrace" };

function* set(shell: BuiltinShell, args: readonly string[], io: Descriptors): Sleeps<number> {
  const { state } = shell;
  if (args.length === 0) {
    const variables = [...state.variables].sort(([a], [b]) => compareNames(a, b));
    for (const [name, value] of variables) write(io, `${name}=${quote(value)}\n`);
    return 0;
  }
  for (const [index, argument] of args.entries()) {
    if (argument === "--" || !/^[-+]/.test(argument)) {
      state.positional = args.slice(argument === "--" ? index + 1 : index);
      break;
    }
    for (const letter of argument.slice(1)) {
      const option = OPTIONS[letter];
      if (!option) throw new ShellProblem(`set: illegal option ${argument.charAt(0)}${letter}`);
      state.options[option] = argument.startsWith("-");
    }
  }
  return 0;
}

function* shift({ state }: BuiltinShell, [count = "1"]: readonly string[]): Sleeps<number> {
  if (Number(count) > state.positional.length) throw new UsageProblem("shift: can't shift that many");
  state.positional = state.positional.slice(Number(count));
  return 0;
}

function* unset({ state }: BuiltinShell, args: readonly string[]): Sleeps<number> {
  const functions = args.includes("-f");
  for (const name of args.filter((argument) => !argument.startsWith("-"))) {
    if (functions) state.functions.delete(name);
    else state.variables.delete(name);
    state.exported.delete(name);
  }
  return 0;
}

function* help(shell: BuiltinShell, _: readonly string[], io: Descriptors): Sleeps<number> {
  const commands = Object.entries({ ...shell.programs, ...BUILTINS }).sort(([a], [b]) => compareNames(a, b));
  const width = Math.max(...commands.map(([name]) => name.length));
  // Bounded: by the longest name of a command.
  for (const [name, { summary }] of commands) write(io, `${name.padEnd(width)}  ${summary}\n`);
  return 0;
}

/** Takes `name=value`, or `name` alone. @returns the name */
function assignArgument(shell: BuiltinShell, argument: string): string {
  const [, name = argument, value] = /^([^=]*)=(.*)$/s.exec(argument) ?? [];
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new ShellProblem(`${name}: bad variable name`);
  if (value !== undefined) shell.assign(name, value);
  return name;
}

function write(io: Descriptors, text: string): void {
  outputOf(io, 1).write(text);
}

function quote(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

/** Index of the first of some characters; -1 without one. */
function firstOf(text: string, characters: string): number {
  for (let at = 0; at < text.length; at++) if (characters.includes(text.charAt(at))) return at;
  return -1;
}

function trim(text: string, separators: string): string {
  let start = 0;
  let end = text.length;
  // Ends: each turn passes over a character.
  while (start < end && separators.includes(text.charAt(start))) start++;
  // Ends: each turn passes over a character.
  while (end > start && separators.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
