// head and tail: the first or the last lines or bytes.
import type { Sleeps } from "@hetmem/kernel";
import { HELD_MAX, outOfMemory } from "../held.ts";
import { type NamedInput, Operands } from "../operands.ts";
import { parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";
import type { Input } from "../streams.ts";

/** Bytes that are read at a time where bytes are counted. */
const PIECE = 65_536;

export const head: Program = (io, args) =>
  ends(io, args, (input, count, read) =>
    count.startsWith("-") ? allBut(io, input, -Number(count), read) : first(io, input, Number(count), read),
  );

export const tail: Program = (io, args) =>
  ends(io, args, (input, count, read) =>
    count.startsWith("+")
      ? from(io, input, Math.max(0, Number(count) - 1), read)
      : last(io, input, Math.abs(Number(count)), read),
  );

/** Reads the next line, or up to `most` bytes where bytes are counted; "" at the end. */
type Read = (input: Input, most: number) => Sleeps<string>;
type Choose = (input: Input, count: string, read: Read) => Sleeps<void>;

function* ends(...[io, args, choose]: [...Parameters<Program>, Choose]): ReturnType<Program> {
  // `-5` is an old way to write `-n 5`.
  const modern = args.map((argument, index) =>
    /^-[nc]$/.test(args[index - 1] ?? "") ? argument : argument.replace(/^-(\d+)$/, "-n$1"),
  );
  const { flags, values, operands } = parseOptions(modern, "n:c:qvf");
  const bytes = values.has("c");
  const count = countOf(values.get("c") ?? values.get("n") ?? "10");
  const inputs = new Operands(
    io,
    operands,
    io.name === "tail" ? (name, reason) => `can't open '${name}': ${reason}` : undefined,
  );
  const titled = (inputs.count > 1 || flags.has("v")) && !flags.has("q");
  let printed = 0;
  yield* inputs.each(function* ({ name, input }: NamedInput) {
    if (titled) io.out(`${printed++ > 0 ? "\n" : ""}==> ${name} <==\n`);
    yield* choose(input, count, bytes ? readBytes : readLine);
  });
  return inputs.failed ? 1 : 0;
}

const SUFFIXES: Readonly<Record<string, number>> = {
  "": 1,
  b: 512,
  k: 1024,
  K: 1024,
  m: 2 ** 20,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/** `5`, `-5`, `+5`, `10G`. @throws UsageProblem */
function countOf(text: string): string {
  const [, sign = "", digits, suffix = ""] = /^([-+]?)(\d+)([bkKmMGT]?)$/.exec(text) ?? [];
  if (digits === undefined) throw new UsageProblem(`invalid number '${text}'`);
  return `${sign}${Number(digits) * (SUFFIXES[suffix] ?? 1)}`;
}

const readLine: Read = (input) => input.readLine();
const readBytes: Read = (input, most) => input.readBytes(Math.min(most, PIECE));

/** The number of lines, or of bytes, in a piece. */
function unitsOf(piece: string, read: Read): number {
  return read === readLine ? 1 : piece.length;
}

function* first(io: ProgramContext, input: Input, count: number, read: Read): Sleeps<void> {
  // Ends: each turn takes a line, or a byte at least.
  for (let left = count; left > 0;) {
    const piece = yield* read(input, left);
    if (piece === "") return;
    left -= unitsOf(piece, read);
    io.out(piece);
    yield* io.turn();
  }
}

/** Prints all lines, or bytes, after the first `skipped`. */
function* from(io: ProgramContext, input: Input, skipped: number, read: Read): Sleeps<void> {
  // Ends: each turn takes a line, or a byte at least.
  for (let left = skipped; left > 0;) {
    const piece = yield* read(input, left);
    if (piece === "") return;
    left -= unitsOf(piece, read);
    yield* io.turn();
  }
  yield* first(io, input, Number.POSITIVE_INFINITY, read);
}

/** Prints all lines, or bytes, but the last `count`. */
function* allBut(io: ProgramContext, input: Input, count: number, read: Read): Sleeps<void> {
  yield* slide(io, input, count, read, (piece) => io.out(piece));
}

function* last(io: ProgramContext, input: Input, count: number, read: Read): Sleeps<void> {
  for (const piece of yield* slide(io, input, count, read, () => {})) io.out(piece);
}

/** Reads to the end and keeps the last lines or bytes. @param leave gets each piece that is no longer among them */
function* slide(
  io: ProgramContext,
  input: Input,
  count: number,
  read: Read,
  leave: (piece: string) => void,
): Sleeps<string[]> {
  let kept: string[] = [];
  let gone = 0;
  let units = 0;
  let bytes = 0;
  // Ends: with the input.
  for (;;) {
    const piece = yield* read(input, PIECE);
    if (piece === "") break;
    kept.push(piece);
    units += unitsOf(piece, read);
    bytes += piece.length;
    // Ends: each turn drops a piece.
    while (gone < kept.length && units - unitsOf(kept[gone] ?? "", read) >= count) {
      const old = kept[gone++] ?? "";
      units -= unitsOf(old, read);
      bytes -= old.length;
      leave(old);
    }
    if (gone > 4096 && gone * 2 > kept.length) {
      kept = kept.slice(gone);
      gone = 0;
    }
    if (bytes > HELD_MAX) outOfMemory("what is kept of the input");
    yield* io.turn();
  }
  const rest = kept.slice(gone);
  const surplus = units - count;
  const [oldest] = rest;
  if (surplus <= 0 || oldest === undefined) return rest;
  const cut = read === readLine ? oldest.length : surplus;
  leave(oldest.slice(0, cut));
  return [oldest.slice(cut), ...rest.slice(1)];
}
