// What descriptors lead to: the terminal, a pipe, a file, nowhere. Programs write text at once; what goes to a file is
// written when the program ends, in one write(2), because that is what its buffered output does.
import { KernelError, type Sleeps } from "@hetmem/kernel";
import type { OpenFile } from "@hetmem/vfs";

export interface Output {
  write(text: string): void;
  /** Hands on what is held back. @throws KernelError what the file answers; what was held back is gone then */
  flush(): Sleeps<void>;
}

/** Where a shell's own output goes. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
}

/** Text that is kept, in the order in which it was written: a terminal, a pipe. */
export class TextOutput implements Output {
  text = "";
  readonly #echo: (text: string) => void;

  constructor(echo: (text: string) => void = () => {}) {
    this.#echo = echo;
  }

  write(text: string): void {
    this.text += text;
    this.#echo(text);
  }

  *flush(): Sleeps<void> {}
}

export class FileOutput implements Output {
  readonly #file: OpenFile;
  #held = "";

  constructor(file: OpenFile) {
    this.#file = file;
  }

  write(text: string): void {
    this.#held += text;
  }

  *flush(): Sleeps<void> {
    const text = this.#held;
    this.#held = "";
    if (text !== "") yield* this.#file.write(text);
  }
}

export const NOWHERE: Output = { write: () => {}, *flush() {} };

/** A descriptor that was closed: writing to it fails. */
export const CLOSED: Output = {
  write: () => {},
  *flush() {
    throw new KernelError("EBADF", "the descriptor was closed");
  },
};

/** What a program reads. A descriptor that several commands of a loop share goes on where the last one stopped. */
export class Input {
  #rest: string | undefined;
  readonly #file: OpenFile | undefined;

  constructor(source: string | OpenFile) {
    this.#rest = typeof source === "string" ? source : undefined;
    this.#file = typeof source === "string" ? undefined : source;
  }

  /** All that is left. */
  *readAll(): Sleeps<string> {
    const text = yield* this.#text();
    this.#rest = "";
    return text;
  }

  /** The next line without its end, or undefined behind the last. */
  *readLine(): Sleeps<string | undefined> {
    const text = yield* this.#text();
    if (text === "") return undefined;
    const end = text.indexOf("\n");
    this.#rest = end < 0 ? "" : text.slice(end + 1);
    return end < 0 ? text : text.slice(0, end);
  }

  *#text(): Sleeps<string> {
    this.#rest ??= this.#file ? yield* this.#file.read() : "";
    return this.#rest;
  }
}

/** The descriptors of a command. Redirecting makes a new record, so what was changed for one command is back after it. */
export type Descriptors = Readonly<Record<number, Input | Output>>;

/** What a descriptor writes to; nowhere when it is open for reading, or not at all. */
export function outputOf(io: Descriptors, descriptor: number): Output {
  const stream = io[descriptor];
  return stream && !(stream instanceof Input) ? stream : NOWHERE;
}

/** Standard input, which is empty when nothing leads there. */
export function inputOf(io: Descriptors): Input {
  const stream = io[0];
  return stream instanceof Input ? stream : new Input("");
}
