// The streams behind descriptors: the terminal, a pipe, a file, nowhere. A text is bytes, a character each. Output to a file
// is buffered until the buffer is full or the program ends, as stdio does it: a small text reaches a file of /sys in one
// write(2).
import { acrossCopies, KernelError, type Sleeps } from "@hetmem/kernel";
import { bytesOf, type OpenFile, textOf } from "@hetmem/vfs";
import { HELD_MAX, outOfMemory } from "./held.ts";
import { PIPE_BYTES, type Pipe } from "./pipe.ts";

/** Bytes that are read from a file, or buffered for one, at a time. */
const CHUNK_BYTES = 65_536;

export interface Output {
  /** Whether it is a terminal. @see isatty(3) */
  readonly isTerminal: boolean;
  write(text: string): void;
  /** Flushes a full buffer. @throws KernelError as flush() does */
  drain(): Sleeps<void>;
  /** Writes the buffer to the file. @throws KernelError of the write; the buffer is lost then */
  flush(): Sleeps<void>;
}

/** The receiver of a shell's output. */
export interface Terminal {
  /** Whether standard output is a terminal; absent: it is none. */
  readonly isTerminal?: boolean;
  out(text: string): void;
  err(text: string): void;
}

/** Output that is kept as a text: for `$(…)`, and for the result of a line. */
export class TextOutput implements Output {
  readonly isTerminal = false;
  text = "";
  readonly #echo: (text: string) => void;

  constructor(echo: (text: string) => void = () => {}) {
    this.#echo = echo;
  }

  /** @throws ShellProblem when it would be more than HELD_MAX */
  write(text: string): void {
    if (this.text.length + text.length > HELD_MAX) outOfMemory("what a command printed");
    this.text += text;
    this.#echo(text);
  }

  *drain(): Sleeps<void> {}

  *flush(): Sleeps<void> {}
}

/** Output that is shown at once and not kept. */
export class LiveOutput implements Output {
  readonly isTerminal: boolean;
  readonly #show: (text: string) => void;

  constructor(show: (text: string) => void, isTerminal: boolean) {
    this.#show = show;
    this.isTerminal = isTerminal;
  }

  write(text: string): void {
    this.#show(text);
  }

  *drain(): Sleeps<void> {}

  *flush(): Sleeps<void> {}
}

export class FileOutput implements Output {
  static {
    acrossCopies(this, "FileOutput");
  }

  readonly isTerminal = false;
  readonly #file: OpenFile;
  #held: string[] = [];
  #bytes = 0;

  constructor(file: OpenFile) {
    this.#file = file;
  }

  write(text: string): void {
    this.#held.push(text);
    this.#bytes += text.length;
  }

  *drain(): Sleeps<void> {
    if (this.#bytes >= CHUNK_BYTES) yield* this.flush();
  }

  *flush(): Sleeps<void> {
    const held = this.#held;
    this.#held = [];
    this.#bytes = 0;
    // One write(2) for each full buffer, and one for the rest.
    let text = "";
    for (const piece of held) {
      text += piece;
      if (text.length < CHUNK_BYTES) continue;
      yield* this.#write(text);
      text = "";
    }
    if (text !== "") yield* this.#write(text);
  }

  *#write(text: string): Sleeps<void> {
    yield* this.#file.write(this.#file.seekable && isBytes(text) ? bytesOf(text) : text);
  }
}

function isBytes(text: string): boolean {
  return !/[^\0-\xff]/.test(text);
}

/** The writing end of a pipe. A writer waits while the pipe is full, and dies of SIGPIPE when the reading end is closed. */
export class PipeOutput implements Output {
  readonly isTerminal = false;
  readonly #pipe: Pipe;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  write(text: string): void {
    this.#pipe.put(text);
  }

  *drain(): Sleeps<void> {
    yield* this.#pipe.room(PIPE_BYTES);
  }

  *flush(): Sleeps<void> {
    yield* this.#pipe.room(PIPE_BYTES);
  }
}

export const NOWHERE: Output = { isTerminal: false, write: () => {}, *drain() {}, *flush() {} };

function* closed(): Sleeps<void> {
  throw new KernelError("EBADF", "the descriptor was closed");
}

/** A descriptor that was closed: writing to it fails. */
export const CLOSED: Output = { isTerminal: false, write: () => {}, drain: closed, flush: closed };

/** The origin of an input. `next()` gives its next bytes, "" at the end. */
interface Source {
  next(): Sleeps<string>;
}

/** An input stream. Commands of a loop that share one each go on where the one before stopped. */
export class Input {
  static {
    acrossCopies(this, "Input");
  }

  readonly #source: Source;
  #rest = "";
  #at = 0;

  constructor(source: string | OpenFile | Pipe) {
    if (typeof source === "string") {
      this.#rest = source;
      this.#source = {
        *next() {
          return "";
        },
      };
    } else this.#source = "take" in source ? { next: () => source.take() } : fileSource(source);
  }

  /** The next bytes, as many as there are at hand; "" at the end. */
  *readChunk(): Sleeps<string> {
    const rest = this.#rest.slice(this.#at);
    this.#rest = "";
    this.#at = 0;
    return rest === "" ? yield* this.#source.next() : rest;
  }

  /** So many bytes, fewer at the end. @param bytes no more than CHUNK_BYTES */
  *readBytes(bytes: number): Sleeps<string> {
    // Ends: each turn brings more of the source, or its end.
    while (this.#rest.length - this.#at < bytes) if (!(yield* this.#more())) break;
    const text = this.#rest.slice(this.#at, this.#at + bytes);
    this.#at += text.length;
    return text;
  }

  /** The rest of the input. @throws ShellProblem when that is more than HELD_MAX */
  *readAll(): Sleeps<string> {
    const pieces: string[] = [];
    let bytes = 0;
    // Ends: at the end of the source, or when too much is held.
    for (;;) {
      const piece = yield* this.readChunk();
      if (piece === "") return pieces.join("");
      bytes += piece.length;
      if (bytes > HELD_MAX) outOfMemory("what a program reads before it can go on");
      pieces.push(piece);
    }
  }

  /** The next line with its newline, which the last may lack; "" behind it. @throws ShellProblem when it has more than HELD_MAX bytes */
  *readLine(): Sleeps<string> {
    const parts: string[] = [];
    let bytes = 0;
    // Ends: each turn brings more of the source, or its end.
    for (;;) {
      const end = this.#rest.indexOf("\n", this.#at);
      parts.push(this.#take(end < 0 ? this.#rest.length : end + 1));
      if (end >= 0) return parts.join("");
      bytes += parts.at(-1)?.length ?? 0;
      if (bytes > HELD_MAX) outOfMemory("a line");
      if (!(yield* this.#more())) return parts.join("");
    }
  }

  #take(end: number): string {
    const text = this.#rest.slice(this.#at, end);
    this.#at = end;
    return text;
  }

  /** Reads the next bytes of the source. @returns false at the end */
  *#more(): Sleeps<boolean> {
    const piece = yield* this.#source.next();
    this.#rest = this.#rest.slice(this.#at) + piece;
    this.#at = 0;
    return piece !== "";
  }
}

/** A file of bytes is read a piece at a time; a file that is rendered (/proc, /sys) is read whole, once. */
function fileSource(file: OpenFile): Source {
  let at = 0;
  let ended = false;
  return {
    *next() {
      if (ended) return "";
      if (!file.seekable) {
        ended = true;
        return yield* file.read();
      }
      const bytes = yield* file.readAt(at, CHUNK_BYTES);
      at += bytes.length;
      return textOf(bytes);
    },
  };
}

/** The descriptors of a command. Redirecting makes a new record, so it ends with the command. */
export type Descriptors = Readonly<Record<number, Input | Output>>;

/** The output behind a descriptor; NOWHERE when it is open for reading, or closed. */
export function outputOf(io: Descriptors, descriptor: number): Output {
  const stream = io[descriptor];
  return stream && !(stream instanceof Input) ? stream : NOWHERE;
}

/** Standard input; an empty one where descriptor 0 is not open for reading. */
export function inputOf(io: Descriptors): Input {
  const stream = io[0];
  return stream instanceof Input ? stream : new Input("");
}
