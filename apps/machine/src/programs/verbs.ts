// The verbs of `proc` and `gpu`: how one is called, and how processes, addresses, sizes and permissions are written.
import {
  KernelError,
  type NodeId,
  nodeId,
  parseIdList,
  type Sleeps,
  strerror,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { exitProcess, type MmStruct, type Process, Prot } from "@hetmem/mm";
import { wordsOfSignal, explanationOf, type Options, parseOptions, UsageProblem } from "@hetmem/shell";
import { type Program, type ProgramContext, userSpaceOf } from "./machine-program.ts";
import type { UserSpace } from "./user-space.ts";

/** One call of a verb: `operands` are those that its usage names, as texts. */
export interface Call {
  readonly io: ProgramContext;
  readonly space: UserSpace;
  readonly operands: readonly string[];
  readonly options: Options;
}

export interface Verb {
  /** The usage, after the program and the verb. */
  readonly usage: string;
  readonly summary: string;
  /** Operands at least and at most. */
  readonly operands: readonly [least: number, most: number];
  /** Long options: name to letter, with ":" after the letter of one that takes a value. */
  readonly options?: Readonly<Record<string, string>>;
  /** @returns the exit status */
  readonly run: (call: Call) => Sleeps<number>;
}

/** The status of a process that a signal ended is this plus the number of the signal. */
const SIGNAL_STATUS = 128;

export type Verbs = Readonly<Record<string, Verb>>;

/** A program of many verbs; `help` lists them, and a refusal of the kernel is explained. */
export function programOfVerbs(verbs: Verbs): Program {
  return function* (io, [name = "help", ...args]) {
    if (name === "help") {
      io.out(helpText(io.name, verbs));
      return 0;
    }
    const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
    if (!verb) throw new UsageProblem(`there is no "${name}": ${io.name} help lists what there is`);
    try {
      return yield* verb.run(parseCall(io, name, verb, args));
    } catch (error) {
      if (error instanceof Died) return yield* tellDeath(io, error);
      if (!(error instanceof KernelError)) throw error;
      io.err(`${io.name}: ${name}: ${strerror(error.errno)}\n${explanationOf(error)}`);
      return 1;
    }
  };
}

/** @throws KernelError ESRCH */
export function processOf({ space }: Call, text: string): Process {
  if (!/^\d+$/.test(text)) throw new UsageProblem(`"${text}" is not a pid`);
  return space.vm.processes.get(Number(text));
}

/** @throws KernelError ESRCH, also for a process that has exited and given up its memory */
export function mmOf(call: Call, text: string): MmStruct {
  const { mm, pid } = processOf(call, text);
  if (!mm) throw new KernelError("ESRCH", `process ${pid} has exited`);
  return mm;
}

/** The process of a verb was sent a deadly signal, and never comes back to user mode. */
class Died extends Error {
  override readonly name = "Died";
  readonly process: Process;

  constructor(process: Process) {
    super(`process ${process.pid} died`);
    this.process = process;
  }
}

/**
 * Runs a system call of a process. A process that is killed during the call never sees its result.
 *
 * @throws KernelError ESRCH, and the errors of the call
 */
export function* systemCall<T>(call: Call, pid: string, body: (mm: MmStruct) => Sleeps<T>): Sleeps<T> {
  const process = processOf(call, pid);
  const mm = mmOf(call, pid);
  try {
    const result = yield* body(mm);
    if (process.deadlySignal === undefined) return result;
  } catch (error) {
    if (!(error instanceof KernelError) || process.deadlySignal === undefined) throw error;
  }
  throw new Died(process);
}

/** Prints the line of a shell for a child that a signal ended, and the reason. @returns the child's status */
function* tellDeath(io: ProgramContext, { process }: Died): Sleeps<number> {
  const { deadlySignal = 0, signals } = process;
  const reason = signals.at(-1)?.reason;
  io.err(`${wordsOfSignal(deadlySignal) ?? ""}\n${reason === undefined ? "" : `    ${reason}\n`}`);
  yield* exitProcess(process);
  return SIGNAL_STATUS + deadlySignal;
}

/** Hexadecimal, with 0x or without. @throws UsageProblem */
export function addressOf(text: string): VirtAddr {
  if (!/^(?:0x)?[0-9a-f]{1,13}$/i.test(text))
    throw new UsageProblem(`"${text}" is not an address: write 0x…`);
  return virtAddr(Number.parseInt(text, 16));
}

const PROT_LETTERS: Readonly<Record<string, number>> = { r: Prot.READ, w: Prot.WRITE, x: Prot.EXEC, "-": 0 };

/** `rw`, `r-x`, `-` for nothing. @returns Prot bits @throws UsageProblem */
export function protOf(text: string): number {
  if (!/^[-rwx]+$/.test(text))
    throw new UsageProblem(`"${text}" are no permissions: write letters of rwx, or -`);
  return [...text].reduce((bits, letter) => bits | (PROT_LETTERS[letter] ?? 0), 0);
}

/** `0-2,4`. @throws UsageProblem */
export function nodesOf(text: string): NodeId[] {
  try {
    return parseIdList(text).map(nodeId);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UsageProblem(`"${text}" is not a list of nodes: write one like 0-1`);
  }
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** @throws UsageProblem with the verb's usage */
function parseCall(io: ProgramContext, name: string, verb: Verb, args: readonly string[]): Call {
  const space = userSpaceOf(io);
  const letters = Object.entries(verb.options ?? {});
  const long = Object.fromEntries(letters.map(([option, letter]) => [option, letter.charAt(0)]));
  const options = parseOptions(args, letters.map(([, letter]) => letter).join(""), { long });
  const [least, most] = verb.operands;
  const { operands } = options;
  if (operands.length < least || operands.length > most)
    throw new UsageProblem(`usage: ${io.name} ${name} ${verb.usage}`);
  return { io, space, operands, options };
}

function helpText(program: string, verbs: Verbs): string {
  return Object.entries(verbs)
    .map(([name, { usage, summary }]) => `${program} ${name} ${usage}\n        ${summary}\n`)
    .join("");
}
