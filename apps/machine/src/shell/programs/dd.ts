// dd: blocks from a file or a source of bytes to a file. Random bytes come from a seed, so that a run can be repeated.
import { KernelError, memparse, Random, type Sleeps, strerror } from "@hetmem/kernel";
import type { OpenFile } from "@hetmem/vfs";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

const DEFAULT_BLOCK_BYTES = 512;

export const dd: Program = function* (io, args) {
  const operands = new Map(args.map((argument) => splitOperand(argument)));
  const blockBytes = size(operands.get("bs") ?? `${DEFAULT_BLOCK_BYTES}`);
  const count = operands.has("count") ? size(operands.get("count") ?? "") : undefined;
  const skip = size(operands.get("skip") ?? "0") * blockBytes;
  const source = yield* openSource(io, operands.get("if"), skip, count !== undefined);
  if (source.endless && count === undefined) throw new UsageProblem("an endless input needs count=");
  const output = operands.get("of");
  const { whole, partial, failed } = yield* copy(
    io,
    source,
    output,
    blockBytes,
    count ?? Number.POSITIVE_INFINITY,
  );
  const records = `${whole}+${partial} records`;
  io.err(`${records} in\n${records} out\n`);
  return failed ? 1 : 0;
};

interface ByteSource {
  readonly endless: boolean;
  /** Up to so many bytes; fewer at the end. */
  take(bytes: number): Sleeps<string>;
}

function* copy(
  io: ProgramContext,
  source: ByteSource,
  output: string | undefined,
  blockBytes: number,
  count: number,
): Sleeps<{ whole: number; partial: number; failed: boolean }> {
  const file = output !== undefined && output !== "/dev/null" ? open(io, output) : undefined;
  let whole = 0;
  let partial = 0;
  while (whole + partial < count) {
    const block = yield* source.take(blockBytes);
    if (block === "") break;
    try {
      if (file) yield* file.write(block);
      else if (output === undefined) io.out(block);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`dd: error writing '${output}': ${strerror(error.errno)}\n`);
      return { whole, partial, failed: true };
    }
    if (block.length === blockBytes) whole++;
    else partial++;
  }
  return { whole, partial, failed: false };
}

function open(io: ProgramContext, path: string): ReturnType<ProgramContext["vfs"]["open"]> {
  try {
    return io.vfs.open(io.path(path), "write");
  } catch (error) {
    if (error instanceof KernelError)
      throw new UsageProblem(`can't open '${path}': ${strerror(error.errno)}`);
    throw error;
  }
}

/**
 * @param skip bytes to begin behind
 * @param limited a number of blocks was asked for: then a file may be one that has no end, and is read block by block
 */
function* openSource(
  io: ProgramContext,
  path: string | undefined,
  skip: number,
  limited: boolean,
): Sleeps<ByteSource> {
  if (path === "/dev/zero") return zeroBytes();
  if (path === "/dev/urandom" || path === "/dev/random") return randomBytes();
  let text: string;
  try {
    if (path !== undefined && limited) return fileBytes(io.vfs.open(io.path(path), "read"), skip);
    text = path === undefined ? yield* io.stdin.readAll() : yield* io.vfs.read(io.path(path));
  } catch (error) {
    if (error instanceof KernelError)
      throw new UsageProblem(`can't open '${path}': ${strerror(error.errno)}`);
    throw error;
  }
  let at = skip;
  return {
    endless: false,
    *take(bytes) {
      return text.slice(at, (at += bytes));
    },
  };
}

function zeroBytes(): ByteSource {
  return {
    endless: true,
    *take(bytes) {
      return "\0".repeat(bytes);
    },
  };
}

function fileBytes(file: OpenFile, skip: number): ByteSource {
  let at = skip;
  return {
    endless: false,
    *take(length) {
      const bytes = yield* file.readAt(at, length);
      at += bytes.length;
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    },
  };
}

function randomBytes(): ByteSource {
  const random = new Random(0);
  return {
    endless: true,
    *take(bytes) {
      const words = Uint32Array.from({ length: Math.ceil(bytes / 4) }, () => random.nextUint32());
      return Buffer.from(words.buffer, 0, bytes).toString("latin1");
    },
  };
}

function splitOperand(argument: string): [string, string] {
  const [, name, value] = /^(if|of|bs|count|skip|conv|oflag|iflag|status)=(.*)$/s.exec(argument) ?? [];
  if (!name || value === undefined) throw new UsageProblem(`invalid argument '${argument}'`);
  return [name, value];
}

function size(text: string): number {
  try {
    return memparse(text);
  } catch {
    throw new UsageProblem(`invalid number '${text}'`);
  }
}
