// dd: blocks from one file to another. A block is copied in pieces: it may be larger than a program holds at a time.
import { KernelError, MiB, type Sleeps, strerror } from "@hetmem/kernel";
import { bytesOf, type OpenFile, textOf } from "@hetmem/vfs";
import { numberOf } from "../options.ts";
import { explanationOf, type Program, type ProgramContext, UsageProblem } from "../program.ts";

const DEFAULT_BLOCK_BYTES = 512;
/** Bytes that one read(2) or write(2) moves. @see MAX_RW_COUNT in include/linux/fs.h */
const TRANSFER_MAX = 0x7fff_f000;
const PIECE = MiB;

export const dd: Program = function* (io, args) {
  const operands = new Map(args.map((argument) => splitOperand(argument)));
  const blockBytes = numberOf(operands.get("bs") ?? `${DEFAULT_BLOCK_BYTES}`);
  if (blockBytes === 0) throw new UsageProblem("number 0 is not in 1..9223372036854775807 range");
  const count = operands.has("count") ? numberOf(operands.get("count") ?? "") : Number.POSITIVE_INFINITY;
  const read = yield* openSource(io, operands.get("if"), numberOf(operands.get("skip") ?? "0") * blockBytes);
  const write = openTarget(io, operands.get("of"));
  const copy = new Copy(io, read, write, blockBytes);
  try {
    yield* copy.run(count);
  } catch (error) {
    // A program that was killed in the meantime prints nothing more.
    yield* io.turn();
    if (!(error instanceof KernelError)) throw error;
    io.err(`dd: error ${copy.doing} '${operands.get(copy.doing === "reading" ? "if" : "of") ?? "-"}': `);
    io.err(`${strerror(error.errno)}\n${error.errno === "ENOMEM" ? explanationOf(error) : ""}`);
    // The block was read before it could not be written.
    if (copy.doing === "writing") copy.read.whole++;
    copy.failed = true;
  }
  if (operands.get("status") !== "none")
    io.err(
      `${copy.read.whole}+${copy.read.partial} records in\n${copy.written.whole}+${copy.written.partial} records out\n`,
    );
  return copy.failed ? 1 : 0;
};

/** Reads up to so many bytes; none at the end. */
type Read = (bytes: number) => Sleeps<Uint8Array>;
type Write = (bytes: Uint8Array) => Sleeps<void>;

class Copy {
  readonly read = { whole: 0, partial: 0 };
  readonly written = { whole: 0, partial: 0 };
  doing: "reading" | "writing" = "reading";
  failed = false;
  readonly #io: ProgramContext;
  readonly #read: Read;
  readonly #write: Write;
  readonly #blockBytes: number;

  constructor(io: ProgramContext, read: Read, write: Write, blockBytes: number) {
    this.#io = io;
    this.#read = read;
    this.#write = write;
    this.#blockBytes = blockBytes;
  }

  /** @throws KernelError of a read or a write; the block that failed is counted as read */
  *run(count: number): Sleeps<void> {
    // Ends: with as many blocks as were asked for, or with the input; ^C is heard in each.
    for (let blocks = 0; blocks < count; blocks++) {
      const bytes = yield* this.#block();
      if (bytes === 0) return;
      const kind = bytes === this.#blockBytes ? "whole" : "partial";
      this.written[kind]++;
    }
  }

  /** Copies one block. @returns how many bytes it had, none at the end */
  *#block(): Sleeps<number> {
    const most = Math.min(this.#blockBytes, TRANSFER_MAX);
    let done = 0;
    // Ends: each turn copies a byte at least, or finds the end.
    while (done < most) {
      this.doing = "reading";
      const piece = yield* this.#read(Math.min(PIECE, most - done));
      if (piece.length === 0) break;
      done += piece.length;
      this.doing = "writing";
      yield* this.#write(piece);
      yield* this.#io.turn();
    }
    if (done > 0) this.read[done === this.#blockBytes ? "whole" : "partial"]++;
    return done;
  }
}

function openTarget(io: ProgramContext, path: string | undefined): Write {
  if (path === undefined) {
    return function* (bytes) {
      io.out(textOf(bytes));
    };
  }
  if (path === "/dev/null") return function* () {};
  const file = open(io, path, "write");
  return (bytes) => file.write(bytes);
}

/** @param skip bytes to begin behind */
function* openSource(io: ProgramContext, path: string | undefined, skip: number): Sleeps<Read> {
  if (path === undefined) {
    // Ends: each turn takes a byte at least, or finds the end.
    for (let left = skip; left > 0;) {
      const piece = yield* io.stdin.readBytes(Math.min(left, PIECE));
      if (piece === "") break;
      left -= piece.length;
      yield* io.turn();
    }
    return function* (bytes) {
      return bytesOf(yield* io.stdin.readBytes(bytes));
    };
  }
  const file = open(io, path, "read");
  let at = skip;
  return function* (bytes) {
    const piece = yield* file.readAt(at, bytes);
    at += piece.length;
    return piece;
  };
}

function open(io: ProgramContext, path: string, mode: "read" | "write"): OpenFile {
  try {
    return io.vfs.open(io.path(path), mode);
  } catch (error) {
    if (error instanceof KernelError)
      throw new UsageProblem(`can't open '${path}': ${strerror(error.errno)}`);
    throw error;
  }
}

function splitOperand(argument: string): [string, string] {
  const [, name, value] = /^(if|of|bs|count|skip|conv|oflag|iflag|status)=(.*)$/s.exec(argument) ?? [];
  if (!name || value === undefined) throw new UsageProblem(`invalid argument '${argument}'`);
  return [name, value];
}
