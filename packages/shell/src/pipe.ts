// A pipe between two stages of a pipeline: the reader waits while it is empty, the writer while it is full. Kernel
// counterpart: fs/pipe.c.
import { acrossCopies, type Preempt, type Sleeps } from "@hetmem/kernel";
import { ControlFlow } from "./problem.ts";

/** @see PIPE_DEF_BUFFERS in include/linux/pipe_fs_i.h */
export const PIPE_BYTES = 65_536;
/** 128 + SIGPIPE. */
const BROKEN_STATUS = 141;

/** A wait that another stage ends, not another task of the machine. */
export class PipeWait implements Preempt {
  static {
    acrossCopies(this, "PipeWait");
  }

  readonly why = "a pipe";
  readonly ready: () => boolean;

  constructor(ready: () => boolean) {
    this.ready = ready;
  }
}

export class Pipe {
  #pieces: string[] = [];
  #bytes = 0;
  #readerGone = false;
  #writerGone = false;

  /** Writes, without waiting for room. */
  put(text: string): void {
    if (this.#readerGone || text === "") return;
    this.#pieces.push(text);
    this.#bytes += text.length;
  }

  /** Waits until at most `bytes` bytes are unread. @throws ControlFlow for SIGPIPE, when the reading end is closed */
  *room(bytes: number): Sleeps<void> {
    if (this.#bytes > bytes) yield new PipeWait(() => this.#bytes <= bytes || this.#readerGone);
    if (this.#readerGone) throw new ControlFlow("signal", BROKEN_STATUS);
  }

  /** The next bytes, "" at the end. */
  *take(): Sleeps<string> {
    // Ends: a stage that writes puts something, or ends.
    while (this.#bytes === 0 && !this.#writerGone)
      yield new PipeWait(() => this.#bytes > 0 || this.#writerGone);
    const text = this.#pieces.join("");
    this.#pieces = [];
    this.#bytes = 0;
    return text;
  }

  closeReader(): void {
    this.#readerGone = true;
    this.#pieces = [];
    this.#bytes = 0;
  }

  closeWriter(): void {
    this.#writerGone = true;
  }
}
