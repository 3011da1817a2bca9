// od: bytes of a file or of standard input as numbers: -t x8, x4, x2, x1, u8 …, c; -A d, x, o or n; -j skips, -N limits, -v
// shows lines that repeat. Words are little-endian. User space counterpart: od(1) of coreutils.
import { memparse, type Sleeps } from "@hetmem/kernel";
import { parseOptions, type Program, type ProgramContext, reasonOf, UsageProblem } from "../program.ts";

const LINE = 16;
const MAX_BYTES = 2 ** 26;
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
  const skip = sizeOf(values.get("j") ?? "0");
  const bytes = yield* readBytes(
    io,
    operands[0],
    skip,
    values.has("N") ? sizeOf(values.get("N") ?? "") : MAX_BYTES,
  );
  let before: string | undefined;
  let starred = false;
  for (let at = 0; at < bytes.length; at += LINE) {
    const body = lineOf(bytes.subarray(at, at + LINE), format);
    const repeats = body === before && at + LINE <= bytes.length && !flags.has("v");
    if (!repeats) io.out(`${position(skip + at, radix)}${body}\n`);
    else if (!starred) io.out("*\n");
    starred = repeats;
    before = body;
  }
  if (radix !== "n") io.out(`${position(skip + bytes.length, radix)}\n`);
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

/** A file is read from where it is asked for on: one of bytes, as pagemap, has no end in sight. */
function* readBytes(
  io: ProgramContext,
  name: string | undefined,
  skip: number,
  length: number,
): Sleeps<Uint8Array> {
  if (name === undefined || name === "-")
    return Buffer.from(yield* io.stdin.readAll(), "latin1").subarray(skip, skip + length);
  try {
    return yield* io.vfs.open(io.path(name), "read").readAt(skip, length);
  } catch (error) {
    throw new UsageProblem(`${name}: ${reasonOf(error)}`);
  }
}

function sizeOf(text: string): number {
  try {
    return memparse(text);
  } catch {
    throw new UsageProblem(`invalid number '${text}'`);
  }
}
