// proc: starts processes and has them do what programs do with memory, a system call or an access at a time. There is no
// such program elsewhere; what it prints is meant to be used by the next command: `pid=$(proc start qemu)`.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import {
  explanationOf,
  type Program,
  type ProgramContext,
  UsageProblem,
  userSpaceOf,
} from "../../program.ts";
import { ACCESS } from "./access.ts";
import { ADVICE } from "./advice.ts";
import { parseCall, type Verb, type Verbs } from "./call.ts";
import { LIFE } from "./life.ts";
import { MAPPING } from "./mapping.ts";
import { PIN } from "./pin.ts";

const VERBS: Verbs = { ...LIFE, ...MAPPING, ...ACCESS, ...ADVICE, ...PIN };

export const proc: Program = function* (io, [name = "help", ...args]) {
  if (name === "help") {
    io.out(helpText());
    return 0;
  }
  const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined;
  if (!verb) throw new UsageProblem(`there is no "${name}": proc help lists what there is`);
  return yield* call(io, name, verb, args);
};

function* call(io: ProgramContext, name: string, verb: Verb, args: readonly string[]): Sleeps<number> {
  try {
    return yield* verb.run(parseCall(io, userSpaceOf(io), name, verb, args));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.err(`proc: ${name}: ${strerror(error.errno)}\n${explanationOf(error)}`);
    return 1;
  }
}

function helpText(): string {
  return Object.entries(VERBS)
    .map(([name, { usage, summary }]) => `proc ${name} ${usage}\n        ${summary}\n`)
    .join("");
}
