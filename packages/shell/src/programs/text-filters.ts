// wc, sort, uniq, cut, tr and seq: the small filters of a pipeline.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { compareNames, type OpenFile } from "@hetmem/vfs";
import { Operands } from "../operands.ts";
import { parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";
import type { Input } from "../streams.ts";

const TAB = 9;
const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;

export const wc: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "lwcmL");
  const inputs = new Operands(io, operands);
  const columns = (["l", "w", "c"] as const).filter((letter) => flags.size === 0 || flags.has(letter));
  const counts: Counts[] = [];
  yield* inputs.each(function* ({ name, input }) {
    counts.push(yield* count(io, operands.length > 0 ? name : "", input));
  });
  const sum = (column: "l" | "w" | "c"): number => counts.reduce((total, each) => total + each[column], 0);
  if (counts.length > 1) counts.push({ name: "total", l: sum("l"), w: sum("w"), c: sum("c") });
  // A single number stands alone; columns are nine wide.
  const columnWidth = columns.length === 1 ? 0 : 9;
  for (const each of counts) {
    const numbers = columns.map((column) => `${each[column]}`.padStart(columnWidth)).join(" ");
    io.out(`${numbers}${each.name && ` ${each.name}`}\n`);
  }
  return inputs.failed ? 1 : 0;
};

/** Lines, words and bytes. */
interface Counts {
  readonly name: string;
  readonly l: number;
  readonly w: number;
  readonly c: number;
}

function* count(io: ProgramContext, name: string, input: Input): Sleeps<Counts> {
  let [l, w, c] = [0, 0, 0];
  let inWord = false;
  // Ends: with the input.
  for (let piece = yield* input.readChunk(); piece !== ""; piece = yield* input.readChunk()) {
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (code === NEWLINE) l++;
      const space = code === SPACE || (code >= TAB && code <= CARRIAGE_RETURN);
      if (!space && !inWord) w++;
      inWord = !space;
    }
    c += piece.length;
    yield* io.turn();
  }
  return { name, l, w, c };
}

export const sort: Program = function* (io, args) {
  const { flags, values, lists, operands } = parseOptions(args, "nrufbsk:t:o:");
  const inputs = new Operands(io, operands);
  const keys = (lists.get("k") ?? []).map((key) => sortKey(key, values.get("t")));
  const whole = { numeric: flags.has("n"), reverse: flags.has("r"), text: (line: string) => line };
  const order = (a: string, b: string): number => {
    for (const { numeric, reverse, text } of keys.length > 0 ? keys : [whole]) {
      const direction = reverse || flags.has("r") ? -1 : 1;
      const difference =
        numeric || flags.has("n")
          ? leadingNumber(text(a)) - leadingNumber(text(b))
          : compareNames(text(a), text(b));
      if (difference !== 0) return direction * difference;
    }
    return 0;
  };
  const lastResort = (a: string, b: string): number =>
    order(a, b) || (flags.has("u") || flags.has("s") ? 0 : compareNames(a, b) * (flags.has("r") ? -1 : 1));
  const sorted = (yield* inputs.allLines()).sort(lastResort);
  const kept = flags.has("u")
    ? sorted.filter((line, index) => index === 0 || order(sorted[index - 1] ?? "", line) !== 0)
    : sorted;
  for (const line of kept) {
    io.out(`${line}\n`);
    yield* io.turn();
  }
  return inputs.failed ? 1 : 0;
};

/** `2`, `2,3`, `2n`, `1,1nr`: fields of a line, counted from one. */
function sortKey(
  key: string,
  separator: string | undefined,
): { numeric: boolean; reverse: boolean; text(line: string): string } {
  const [, first, last, letters = ""] = /^(\d+)(?:\.\d+)?(?:,(\d+)(?:\.\d+)?)?([a-z]*)$/.exec(key) ?? [];
  if (!first) throw new UsageProblem(`bad -k '${key}'`, 2);
  return {
    numeric: letters.includes("n"),
    reverse: letters.includes("r"),
    text(line) {
      const fields = separator ? line.split(separator) : (line.match(/\s*\S+/g) ?? []);
      return fields.slice(Number(first) - 1, last ? Number(last) : undefined).join(separator ?? "");
    },
  };
}

function leadingNumber(text: string): number {
  return Number(/^\s*-?\d+(?:\.\d+)?/.exec(text)?.[0] ?? 0);
}

export const uniq: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "cdui");
  const inputs = new Operands(io, operands.slice(0, 1), (name, reason) => `can't open '${name}': ${reason}`);
  let run: { readonly line: string; count: number } | undefined;
  const tell = (): void => {
    if (!run || (flags.has("d") && run.count === 1) || (flags.has("u") && run.count > 1)) return;
    io.out(flags.has("c") ? `${`${run.count}`.padStart(7)} ${run.line}\n` : `${run.line}\n`);
  };
  const key = (line: string): string => (flags.has("i") ? line.toLowerCase() : line);
  yield* inputs.lines(function* (line) {
    if (run && key(run.line) === key(line)) {
      run.count++;
      return;
    }
    tell();
    run = { line, count: 1 };
  });
  tell();
  return inputs.failed ? 1 : 0;
};

export const cut: Program = function* (io, args) {
  const { flags, values, operands } = parseOptions(args, "b:c:f:d:s");
  const list = values.get("f") ?? values.get("c") ?? values.get("b");
  if (!list) throw new UsageProblem("expected a list of bytes, characters, or fields");
  const delimiter = values.get("d") ?? "\t";
  const byField = values.has("f");
  const inputs = new Operands(io, operands);
  yield* inputs.lines(function* (line) {
    if (byField && !line.includes(delimiter)) {
      if (!flags.has("s")) io.out(`${line}\n`);
      return;
    }
    const pieces = byField ? line.split(delimiter) : line.split("");
    io.out(`${pieces.filter((_, index) => inList(list, index + 1)).join(byField ? delimiter : "")}\n`);
  });
  return inputs.failed ? 1 : 0;
};

/** Whether a position is in `1,3-5,7-`. */
function inList(list: string, position: number): boolean {
  return list.split(",").some((range) => {
    const [, first, dash, last] = /^(\d*)(-?)(\d*)$/.exec(range) ?? [];
    if (first === undefined || (first === "" && last === ""))
      throw new UsageProblem(`invalid range '${range}'`);
    return (
      position >= Number(first || 1) &&
      position <= (dash ? Number(last || Number.POSITIVE_INFINITY) : Number(first))
    );
  });
}

export const tr: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "cCds");
  const [from = "", to] = operands;
  const set = expandSet(from);
  const inSet = (char: string): boolean => set.includes(char) !== (flags.has("c") || flags.has("C"));
  const target = to === undefined ? [] : expandSet(to);
  const squeezed = (char: string): boolean => (target.length > 0 ? target.includes(char) : inSet(char));
  const changed = (char: string): string => {
    if (!inSet(char)) return char;
    if (flags.has("d")) return "";
    return target.length === 0 ? char : (target[Math.min(set.indexOf(char), target.length - 1)] ?? char);
  };
  const table = Array.from({ length: 256 }, (_, code) => changed(String.fromCharCode(code)));
  const squeezes = table.map((_, code) => flags.has("s") && squeezed(String.fromCharCode(code)));
  let before = "";
  // Ends: with the input.
  for (let piece = yield* io.stdin.readChunk(); piece !== ""; piece = yield* io.stdin.readChunk()) {
    let result = "";
    for (let at = 0; at < piece.length; at++) {
      const mapped = table[piece.charCodeAt(at)] ?? "";
      if (mapped === "" || (mapped === before && squeezes[mapped.charCodeAt(0)])) continue;
      result += mapped;
      before = mapped;
    }
    io.out(result);
    yield* io.turn();
  }
  return 0;
};

const SETS: Readonly<Record<string, string>> = {
  digit: "0-9",
  lower: "a-z",
  upper: "A-Z",
  alpha: "A-Za-z",
  alnum: "0-9A-Za-z",
  space: " \t\n\r\f\v",
  blank: " \t",
  xdigit: "0-9A-Fa-f",
};

/** The characters of `a-z`, `[:digit:]`, `\n`. */
function expandSet(set: string): string[] {
  const named = set
    .replaceAll(/\[:(\w+):\]/g, (_, name: string) => SETS[name] ?? "")
    .replaceAll(
      /\\([ntr\\])/g,
      (_, letter: string) => ({ n: "\n", t: "\t", r: "\r", "\\": "\\" })[letter] ?? letter,
    );
  return Array.from(named.matchAll(/([^])-([^])|[^]/g)).flatMap(([whole, first, last]) => {
    if (first === undefined || last === undefined) return [whole];
    const start = first.charCodeAt(0);
    return Array.from({ length: Math.max(0, last.charCodeAt(0) - start + 1) }, (_, index) =>
      String.fromCharCode(start + index),
    );
  });
}

export const seq: Program = function* (io, args) {
  // A number below zero is no option.
  const first = args.findIndex((argument) => /^-?[\d.]/.test(argument));
  const { values, flags } = parseOptions(first < 0 ? args : args.slice(0, first), "s:w");
  const numbers = first < 0 ? [] : args.slice(first).map(Number);
  if (numbers.length === 0 || numbers.length > 3 || numbers.some(Number.isNaN))
    throw new UsageProblem("usage: seq [-w] [-s SEP] [FIRST [INC]] LAST");
  const [start = 1, step = 1, last = 0] =
    numbers.length === 1 ? [1, 1, ...numbers] : numbers.length === 2 ? [numbers[0], 1, numbers[1]] : numbers;
  if (step === 0) throw new UsageProblem("the increment must not be 0");
  const goesOn = (value: number): boolean => (step > 0 ? value <= last : value >= last);
  const steps = Math.floor((last - start) / step);
  const width = flags.has("w") ? Math.max(`${start}`.length, `${start + steps * step}`.length) : 0;
  const separator = values.get("s") ?? "\n";
  // Ends: the number of steps is finite, and ^C is heard at each.
  for (let index = 0; goesOn(start + index * step); index++) {
    if (index > 0) io.out(separator);
    // Bounded: by the digits of a number.
    io.out(`${start + index * step}`.padStart(width, "0"));
    yield* io.turn();
  }
  if (goesOn(start)) io.out("\n");
  return 0;
};

/** tee: copies standard input to each file and to standard output. */
export const tee: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "ai");
  let status = 0;
  const fail = (name: string, error: KernelError): void => {
    io.err(`tee: ${name}: ${strerror(error.errno)}\n`);
    status = 1;
  };
  const files = new Map<string, OpenFile>();
  for (const name of operands) {
    try {
      files.set(name, io.vfs.open(io.path(name), flags.has("a") ? "append" : "write"));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      fail(name, error);
    }
  }
  // Ends: with the input.
  for (let piece = yield* io.stdin.readChunk(); piece !== ""; piece = yield* io.stdin.readChunk()) {
    for (const [name, file] of files) {
      try {
        yield* file.write(piece);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        files.delete(name);
        fail(name, error);
      }
    }
    io.out(piece);
    yield* io.turn();
  }
  return status;
};
