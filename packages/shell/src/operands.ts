// The operands of a filter: files that are opened one after the other, standard input where there are none, and the lines in
// them. User space counterpart: fopen_or_warn() and the loops of libbb in busybox.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { HELD_MAX, outOfMemory } from "./held.ts";
import type { ProgramContext } from "./program.ts";
import { Input } from "./streams.ts";
import { visible } from "./visible.ts";

/** The lines of a text, without their ends; a last line without an end counts. */
function linesOf(text: string): string[] {
  if (text === "") return [];
  return (text.endsWith("\n") ? text.slice(0, -1) : text).split("\n");
}

/** An input of a filter: a file, or standard input. */
export interface NamedInput {
  readonly name: string;
  readonly input: Input;
}

/**
 * Opens the operands one after the other. An operand that can't be opened is reported in the program's own words, and the
 * others are still read.
 */
export class Operands {
  /** Whether an operand could not be read. */
  failed = false;
  readonly #io: ProgramContext;
  readonly #names: readonly string[];
  readonly #complain: (name: string, reason: string) => string;
  #next = 0;

  constructor(
    io: ProgramContext,
    names: readonly string[],
    complain: (name: string, reason: string) => string = (name, reason) => `${name}: ${reason}`,
  ) {
    this.#io = io;
    this.#names = names.length > 0 ? names : ["-"];
    this.#complain = complain;
  }

  get count(): number {
    return this.#names.length;
  }

  /** The next operand that can be opened; undefined after the last. */
  next(): NamedInput | undefined {
    // Ends: each turn passes over a name.
    while (this.#next < this.#names.length) {
      const name = this.#names[this.#next++] ?? "-";
      if (name === "-") return { name, input: this.#io.stdin };
      try {
        return { name, input: new Input(this.#io.vfs.open(this.#io.path(name), "read")) };
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        this.refuse(name, error);
      }
    }
    return undefined;
  }

  /** Reports an operand that could not be read. */
  refuse(name: string, error: KernelError): void {
    this.#io.err(`${this.#io.name}: ${visible(this.#complain(name, strerror(error.errno)))}\n`);
    this.failed = true;
  }

  /** Calls `use` with each; a KernelError in it is reported like one of open(2). */
  *each(use: (operand: NamedInput) => Sleeps<void>): Sleeps<void> {
    // Ends: with the operands.
    for (let operand = this.next(); operand; operand = this.next()) {
      try {
        yield* use(operand);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        this.refuse(operand.name, error);
      }
    }
  }

  /** Calls `use` with each line of all operands, without its newline, until `use` returns true. */
  *lines(use: (line: string) => Sleeps<boolean | void>): Sleeps<void> {
    let enough = false;
    yield* this.each(
      function* (this: Operands, { input }: NamedInput): Sleeps<void> {
        if (enough) return;
        // Ends: with the input, a line a turn.
        for (let line = yield* input.readLine(); line !== "" && !enough; line = yield* input.readLine()) {
          enough = (yield* use(withoutEnd(line))) === true;
          yield* this.#io.turn();
        }
      }.bind(this),
    );
  }

  /** All lines of all operands. @throws ShellProblem for more than HELD_MAX bytes */
  *allLines(): Sleeps<string[]> {
    const lines: string[] = [];
    let bytes = 0;
    yield* this.each(function* ({ input }) {
      const text = yield* input.readAll();
      bytes += text.length;
      if (bytes > HELD_MAX) outOfMemory("all input together");
      for (const line of linesOf(text)) lines.push(line);
    });
    return lines;
  }
}

/** A line without its newline. */
export function withoutEnd(line: string): string {
  return line.endsWith("\n") ? line.slice(0, -1) : line;
}
