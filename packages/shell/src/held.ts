// The limits of texts in a shell and its programs. A real shell may use all memory of its machine; here a text lies in the
// memory of the host, so texts have a limit, and longer input is streamed.
import { MiB } from "@hetmem/kernel";
import { ShellProblem } from "./problem.ts";

/** Bytes of one text: a value, a line, the output of `$(…)`, input that a program needs whole. */
export const HELD_MAX: number = 64 * MiB;
/** Words of one expanded list. */
export const WORDS_MAX = 1_048_576;
/** Bytes of all variables of a shell. */
export const VARIABLES_MAX: number = 4 * HELD_MAX;

/** @throws ShellProblem in the words of a shell whose malloc() fails */
export function outOfMemory(what: string, limit: string = `${HELD_MAX / MiB} MiB`): never {
  throw new ShellProblem(`out of memory: ${what} has more than the ${limit} that are held at a time`);
}
