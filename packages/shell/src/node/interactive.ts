// An interactive shell: history and completion come from node:readline, an unfinished command is continued on the next line,
// and ^C ends a command between two of its steps, never in the middle of a system call.
import { createInterface, type Interface } from "node:readline";
import { complete } from "../completion.ts";
import { BROKEN_STATUS, driveOnNode, tellBroken } from "./drive.ts";
import type { Shell, ShellResult } from "../shell.ts";
import { isIncomplete } from "../syntax/parser.ts";

export interface InteractiveStreams {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly error: NodeJS.WritableStream;
  /** Whether the input is a terminal: then there is line editing, and a prompt. */
  readonly terminal: boolean;
}

const PROMPT = "# ";
const PROMPT_MORE = "> ";
/** Keys of readline: go to the end of the line, and erase the line before the cursor. */
const END_OF_LINE = { ctrl: true, name: "e" };
const ERASE_LINE = { ctrl: true, name: "u" };

/** Reads lines until the end of input or `exit`. @returns the exit status */
export async function interact(shell: Shell, streams: InteractiveStreams): Promise<number> {
  const lines = createInterface({
    input: streams.input,
    output: streams.output,
    terminal: streams.terminal,
    prompt: PROMPT,
    completer: (line: string) => complete(shell, line),
  });
  const typed = new TypedLines(lines);
  const session = new Session(shell, streams, lines, typed);
  lines.on("SIGINT", () => session.interrupt());
  try {
    return await session.run();
  } finally {
    lines.close();
  }
}

/** Typed lines that no command has read yet. ^C drops them. */
class TypedLines {
  #waiting: string[] = [];
  #ended = false;
  #wake = (): void => {};

  constructor(lines: Interface) {
    lines.on("line", (line: string) => {
      this.#waiting.push(line);
      this.#wake();
    });
    lines.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next line; undefined at the end of the input. */
  async next(): Promise<string | undefined> {
    // Ends: each turn waits for a line, or for the end.
    while (this.#waiting.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    return this.#waiting.shift();
  }

  drop(): void {
    this.#waiting = [];
  }
}

class Session {
  readonly #shell: Shell;
  readonly #streams: InteractiveStreams;
  readonly #lines: Interface;
  readonly #typed: TypedLines;
  /** The lines so far of an unfinished command. */
  #pending = "";
  #running = false;

  constructor(shell: Shell, streams: InteractiveStreams, lines: Interface, typed: TypedLines) {
    this.#shell = shell;
    this.#streams = streams;
    this.#lines = lines;
    this.#typed = typed;
  }

  /** @returns the exit status */
  async run(): Promise<number> {
    let status = 0;
    this.#prompt();
    // Ends: with the input, or `exit`.
    for (;;) {
      const line = await this.#typed.next();
      if (line === undefined && this.#pending === "") return status;
      if (line !== undefined) this.#pending += `${line}\n`;
      if (line === undefined || !isIncomplete(this.#pending)) {
        const result = await this.#answer();
        status = result.status;
        if (result.exited || line === undefined) return status;
      }
      this.#prompt();
    }
  }

  /** ^C: ends the command that runs, and drops all typed lines that were not answered yet. */
  interrupt(): void {
    this.#shell.interrupt();
    this.#typed.drop();
    this.#pending = "";
    this.#lines.write(null, END_OF_LINE);
    this.#streams.output.write("^C\n");
    this.#lines.write(null, ERASE_LINE);
    if (!this.#running) this.#prompt();
  }

  #prompt(): void {
    this.#lines.setPrompt(this.#pending === "" ? PROMPT : PROMPT_MORE);
    if (this.#streams.terminal) this.#lines.prompt();
  }

  async #answer(): Promise<Answer> {
    const { output, error } = this.#streams;
    const terminal = {
      isTerminal: this.#streams.terminal,
      out: (piece: string) => void output.write(piece),
      err: (piece: string) => void error.write(piece),
    };
    const text = this.#pending;
    this.#pending = "";
    this.#running = true;
    try {
      return await driveOnNode(this.#shell.execute(text, { terminal }));
    } catch (broken) {
      tellBroken(broken, terminal);
      return { status: BROKEN_STATUS, exited: false };
    } finally {
      this.#running = false;
    }
  }
}

type Answer = Pick<ShellResult, "status" | "exited">;
