// kill: ends processes. No process handles signals here, so any signal but 0 ends one at once. Part of the shell, as in ash.
import { KernelError, strerror } from "@hetmem/kernel";
import { type Program, refuseWithoutProcesses, UsageProblem } from "../program.ts";

const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ABRT: 6,
  BUS: 7,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  TERM: 15,
};

const TERM = 15;
/** Signals that stop or continue a process, and signals that are ignored by default. */
const NOT_DEADLY: readonly number[] = [17, 18, 19, 20, 21, 22, 23, 28];

export const kill: Program = function* (io, args) {
  const { processes } = io.machine;
  if (!processes?.kill) return refuseWithoutProcesses();
  const [first = "", ...rest] = args;
  const number = /^-./.test(first) ? signalOf(first.slice(1)) : TERM;
  const pids = /^-./.test(first) ? rest : args;
  if (pids.length === 0) throw new UsageProblem("you need to specify whom to kill", 2);
  let status = 0;
  for (const pid of pids) {
    if (!/^\d+$/.test(pid)) throw new UsageProblem(`invalid number '${pid}'`, 2);
    try {
      yield* processes.kill(Number(pid), number);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`${io.name}: can't kill pid ${pid}: ${strerror(error.errno)}\n`);
      status = 1;
    }
  }
  return status;
};

function signalOf(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : SIGNALS[text.toUpperCase().replace(/^SIG/, "")];
  if (number === undefined || number > 64) throw new UsageProblem(`bad signal name '${text}'`, 2);
  if (NOT_DEADLY.includes(number))
    throw new UsageProblem(`signal ${text} ends no process, and nothing else is modelled of signals`, 2);
  return number;
}
