// od: bytes of a file or of standard input as numbers: -t x8, x4, x2, x1, u8 …, c; -A d, x, o or n; -j skips, -N limits, -v
// shows lines that repeat. Words are little-endian. User space counterpart: od(1) of coreutils.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { bytesOf, type OpenFile } from "@hetmem/vfs";
import { numberOf, parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

const LINE = 16;
/** Bytes that are read at a time. */
const PIECE = 4096;
const BASES: Readonly<Record<string, number>> = { d: 10, u: 10, x: 16, o: 8 };

/** How one number is printed. */
interface Format {
  readonly bytes: number;
  readonly width: number;
  readonly text: (value: bigint) => string;
}

export const od: Program = function* (io, args) {
  const { flags, values, operands } = parseOptions(args, "A:t:j:N:vx");
  const format = formatOf(flags.has("x") ? "x2" : (values.get("t") ?? "o2"));
  const radix = values.get("A") ?? "o";
  const skip = numberOf(values.get("j") ?? "0");
  const limit = values.has("N") ? numberOf(values.get("N") ?? "") : Number.POSITIVE_INFINITY;
  const read = yield* openBytes(io, operands[0], skip);
  let before: string | undefined;
  let starred = false;
  let done = 0;
  // Ends: with the input, or with as many bytes as were asked for.
  for (;;) {
    const bytes = yield* read(Math.min(PIECE, limit - done));
    if (bytes.length === 0) break;
    for (let at = 0; at < bytes.length; at += LINE) {
      const body = lineOf(bytes.subarray(at, at + LINE), format);
      const repeats = body === before && at + LINE <= bytes.length && !flags.has("v");
      if (!repeats) io.out(`${position(skip + done + at, radix)}${body}\n`);
      else if (!starred) io.out("*\n");
      starred = repeats;
      before = body;
    }
    done += bytes.length;
    yield* io.turn();
  }
  if (radix !== "n") io.out(`${position(skip + done, radix)}\n`);
  return 0;
};

function formatOf(text: string): Format {
  const [, kind = "", size = "4"] = /^([doux])([1248]?)$/.exec(text) ?? [];
  if (text === "c") return { bytes: 1, width: 3, text: characterOf };
  const base = BASES[kind];
  if (base === undefined) throw new UsageProblem(`invalid type string '${text}'`);
  const bits = Number(size || "4") * 8;
  const longest = kind === "d" ? -(2n ** BigInt(bits - 1)) : 2n ** BigInt(bits) - 1n;
  const width = longest.toString(base).length;
  return {
    bytes: bits / 8,
    width,
    text: (value) => {
      if (base === 10) return `${kind === "d" ? BigInt.asIntN(bits, value) : value}`;
      // Bounded: by the 22 digits of a value of eight bytes.
      return value.toString(base).padStart(width, "0");
    },
  };
}

function characterOf(value: bigint): string {
  const code = Number(value);
  const escaped: Readonly<Record<number, string>> = { 0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r" };
  if (code >= 0x20 && code < 0x7f) return String.fromCharCode(code);
  return escaped[code] ?? code.toString(8).padStart(3, "0");
}

function lineOf(bytes: Uint8Array, { bytes: size, width, text }: Format): string {
  const cells: string[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i] ?? 0);
    // Bounded: by the 22 digits of a value of eight bytes.
    cells.push(` ${text(value).padStart(width)}`);
  }
  return cells.join("");
}

function position(offset: number, radix: string): string {
  switch (radix) {
    case "n":
      return "";
    case "x":
      return offset.toString(16).padStart(6, "0");
    case "d":
      return `${offset}`.padStart(7, "0");
    case "o":
      return offset.toString(8).padStart(7, "0");
    default:
      throw new UsageProblem(`invalid output address radix '${radix}'; it must be one character from [doxn]`);
  }
}

/** Gives a function that reads the next bytes, fewer at the end. A file is read from `skip` on. */
function* openBytes(
  io: ProgramContext,
  name: string | undefined,
  skip: number,
): Sleeps<(length: number) => Sleeps<Uint8Array>> {
  if (name !== undefined && name !== "-") {
    let file: OpenFile;
    try {
      file = io.vfs.open(io.path(name), "read");
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new UsageProblem(`${name}: ${strerror(error.errno)}`);
    }
    let at = skip;
    return function* (length) {
      try {
        const bytes = length > 0 ? yield* file.readAt(at, length) : new Uint8Array(0);
        at += bytes.length;
        return bytes;
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        throw new UsageProblem(`${name}: ${strerror(error.errno)}`);
      }
    };
  }
  // Ends: each turn takes bytes, or finds the end.
  for (let left = skip; left > 0;) {
    const piece = yield* io.stdin.readBytes(Math.min(left, PIECE));
    if (piece === "") break;
    left -= piece.length;
    yield* io.turn();
  }
  return function* (length) {
    return length > 0 ? bytesOf(yield* io.stdin.readBytes(length)) : new Uint8Array(0);
  };
}
