// wc, sort, uniq, cut, tr and seq: the small filters of a pipeline.
import { compareNames } from "@hetmem/vfs";
import { linesOf, parseOptions, type Program, readOperands, reasonOf, UsageProblem } from "../program.ts";

export const wc: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "lwcmL");
  const { inputs, failed } = yield* readOperands(io, operands);
  const columns = (["l", "w", "c"] as const).filter((letter) => flags.size === 0 || flags.has(letter));
  const counts = inputs.map(({ name, text }) => ({
    name: operands.length > 0 ? name : "",
    l: text.split("\n").length - 1,
    w: text.split(/\s+/).filter(Boolean).length,
    c: text.length,
  }));
  const sum = (column: "l" | "w" | "c"): number => counts.reduce((total, count) => total + count[column], 0);
  if (counts.length > 1) counts.push({ name: "total", l: sum("l"), w: sum("w"), c: sum("c") });
  // A single number stands alone; columns are nine wide.
  const width = columns.length === 1 ? 0 : 9;
  for (const count of counts) {
    const numbers = columns.map((column) => `${count[column]}`.padStart(width)).join(" ");
    io.out(`${numbers}${count.name && ` ${count.name}`}\n`);
  }
  return failed ? 1 : 0;
};

export const sort: Program = function* (io, args) {
  const { flags, values, lists, operands } = parseOptions(args, "nrufbsk:t:o:");
  const { inputs, failed } = yield* readOperands(io, operands);
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
  const sorted = inputs.flatMap(({ text }) => linesOf(text)).sort(lastResort);
  const kept = flags.has("u")
    ? sorted.filter((line, index) => index === 0 || order(sorted[index - 1] ?? "", line) !== 0)
    : sorted;
  io.out(kept.map((line) => `${line}\n`).join(""));
  return failed ? 1 : 0;
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
  const { inputs, failed } = yield* readOperands(
    io,
    operands.slice(0, 1),
    (name, reason) => `can't open '${name}': ${reason}`,
  );
  const runs: { line: string; count: number }[] = [];
  for (const line of inputs.flatMap(({ text }) => linesOf(text))) {
    const last = runs.at(-1);
    const same =
      last && (flags.has("i") ? last.line.toLowerCase() === line.toLowerCase() : last.line === line);
    if (same) last.count++;
    else runs.push({ line, count: 1 });
  }
  for (const { line, count } of runs) {
    if ((flags.has("d") && count === 1) || (flags.has("u") && count > 1)) continue;
    io.out(flags.has("c") ? `${`${count}`.padStart(7)} ${line}\n` : `${line}\n`);
  }
  return failed ? 1 : 0;
};

export const cut: Program = function* (io, args) {
  const { flags, values, operands } = parseOptions(args, "b:c:f:d:s");
  const list = values.get("f") ?? values.get("c") ?? values.get("b");
  if (!list) throw new UsageProblem("expected a list of bytes, characters, or fields");
  const delimiter = values.get("d") ?? "\t";
  const byField = values.has("f");
  const { inputs, failed } = yield* readOperands(io, operands);
  for (const line of inputs.flatMap(({ text }) => linesOf(text))) {
    if (byField && !line.includes(delimiter)) {
      if (!flags.has("s")) io.out(`${line}\n`);
      continue;
    }
    const pieces = byField ? line.split(delimiter) : [...line];
    io.out(`${pieces.filter((_, index) => inList(list, index + 1)).join(byField ? delimiter : "")}\n`);
  }
  return failed ? 1 : 0;
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
  const text = yield* io.stdin.readAll();
  let result = "";
  const squeezed = (char: string): boolean => (target.length > 0 ? target.includes(char) : inSet(char));
  for (const char of text) {
    if (inSet(char) && flags.has("d")) continue;
    const mapped =
      inSet(char) && target.length > 0
        ? (target[Math.min(set.indexOf(char), target.length - 1)] ?? target.at(-1) ?? char)
        : char;
    if (flags.has("s") && squeezed(mapped) && result.endsWith(mapped)) continue;
    result += mapped;
  }
  io.out(result);
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
  const items: string[] = [];
  for (let value = start; step > 0 ? value <= last : value >= last; value += step) items.push(`${value}`);
  const width = flags.has("w") ? Math.max(...items.map((item) => item.length)) : 0;
  if (items.length > 0)
    io.out(`${items.map((item) => item.padStart(width, "0")).join(values.get("s") ?? "\n")}\n`);
  return 0;
};

/** tee: what comes in, to each file and out again. */
export const tee: Program = function* (io, args) {
  const { flags, operands } = parseOptions(args, "ai");
  const text = yield* io.stdin.readAll();
  let status = 0;
  for (const name of operands) {
    try {
      yield* io.vfs.open(io.path(name), flags.has("a") ? "append" : "write").write(text);
    } catch (error) {
      io.err(`tee: ${name}: ${reasonOf(error)}\n`);
      status = 1;
    }
  }
  io.out(text);
  return status;
};
