// Texts of hetmem itself on a terminal. The output of programs of the machine goes there as it is; all else may quote text
// from outside, and is made plain here.
import { plainJson, plainText } from "@hetmem/kernel";
import type { Terminal } from "./terminal.ts";

/** Prints lines on the standard output. */
export function say(terminal: Terminal, ...lines: readonly string[]): void {
  for (const line of lines) terminal.write(`${plainText(line)}\n`);
}

/** Prints a value for programs. */
export function sayJson(terminal: Terminal, value: object): void {
  terminal.write(`${plainJson(value)}\n`);
}

/** Prints sentences on the standard error, each line with hetmem's name before it. */
export function complain(terminal: Pick<Terminal, "writeError">, ...sentences: readonly string[]): void {
  for (const line of sentences.flatMap((sentence) => sentence.split("\n")))
    terminal.writeError(`hetmem: ${plainText(line)}\n`);
}
