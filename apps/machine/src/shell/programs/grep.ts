// grep: lines that match, with the file and line number when asked, and the lines around them.
import type { Sleeps } from "@hetmem/kernel";
import {
  linesOf,
  type NamedText,
  type Options,
  parseOptions,
  type Program,
  type ProgramContext,
  reasonOf,
  UsageProblem,
} from "../program.ts";
import { patternToRegExp } from "../regular-expression.ts";

/** How the lines of one run are shown. */
interface Report {
  readonly matchers: readonly RegExp[];
  readonly flags: ReadonlySet<string>;
  readonly named: boolean;
  readonly before: number;
  readonly after: number;
}

const LONG = {
  "extended-regexp": "E",
  "fixed-strings": "F",
  "ignore-case": "i",
  "invert-match": "v",
  count: "c",
  "files-with-matches": "l",
  "files-without-match": "L",
  "line-number": "n",
  "only-matching": "o",
  quiet: "q",
  silent: "q",
  recursive: "r",
  "no-messages": "s",
  "word-regexp": "w",
  "line-regexp": "x",
  "no-filename": "h",
  "with-filename": "H",
  "after-context": "A",
  "before-context": "B",
  context: "C",
  "max-count": "m",
};

export const grep: Program = function* (io, args) {
  const options = parseOptions(args, "EFGHLRachilnoqrsvwxA:B:C:e:m:", { long: LONG, status: 2 });
  const { flags, operands } = options;
  const patterns = options.lists.get("e") ?? operands.slice(0, 1);
  if (patterns.length === 0)
    throw new UsageProblem("no pattern: grep [-EFivcnoqrHhlLsw] PATTERN [FILE]...", 2);
  const files = options.lists.has("e") ? operands : operands.slice(1);
  const recursive = flags.has("r") || flags.has("R");
  const report: Report = {
    matchers: patterns
      .flatMap((pattern) => pattern.split("\n"))
      .map((pattern) =>
        patternToRegExp(pattern, {
          extended: flags.has("E"),
          fixed: flags.has("F"),
          ignoreCase: flags.has("i"),
          word: flags.has("w"),
          line: flags.has("x"),
        }),
      ),
    flags,
    named: flags.has("H") || (!flags.has("h") && (files.length > 1 || recursive)),
    before: contextLines(options, "B"),
    after: contextLines(options, "A"),
  };
  let failed = false;
  let matched = false;
  for (const operand of files.length > 0 ? files : [recursive ? "." : "-"]) {
    for (const name of recursive ? filesBelow(io, operand) : [operand]) {
      const input = yield* read(io, name, flags.has("s"));
      failed ||= input === undefined;
      const found =
        input !== undefined &&
        search(io, input, report, Number(options.values.get("m") ?? Number.POSITIVE_INFINITY));
      matched ||= found;
      if (found && flags.has("q")) return 0;
    }
  }
  return failed ? 2 : matched ? 0 : 1;
};

function contextLines({ values }: Options, side: "A" | "B"): number {
  return Number(values.get(side) ?? values.get("C") ?? 0);
}

function* read(io: ProgramContext, name: string, silent: boolean): Sleeps<NamedText | undefined> {
  try {
    return name === "-"
      ? { name: "(standard input)", text: yield* io.stdin.readAll() }
      : { name, text: yield* io.vfs.read(io.path(name)) };
  } catch (error) {
    const reason = reasonOf(error);
    if (!silent) io.err(`grep: ${name}: ${reason}\n`);
    return undefined;
  }
}

/** Regular files below a directory in the order of its file system; links that are met on the way aren't followed. */
function* filesBelow(io: ProgramContext, name: string): Iterable<string> {
  const path = io.path(name);
  if (name === "-" || !io.vfs.exists(path) || io.vfs.stat(path).kind !== "directory") {
    yield name;
    return;
  }
  for (const entry of io.vfs.readdir(path)) {
    const below = name.endsWith("/") ? name + entry.name : `${name}/${entry.name}`;
    if (entry.kind === "directory") yield* filesBelow(io, below);
    else if (entry.kind === "file") yield below;
  }
}

/** Prints what matches in one file. @returns whether anything did */
function search(io: ProgramContext, { name, text }: NamedText, report: Report, limit: number): boolean {
  const { flags, matchers } = report;
  const lines = linesOf(text);
  const matches = lines.map(
    (line) => matchers.some((matcher) => line.search(matcher) >= 0) !== flags.has("v"),
  );
  const selected = lines.flatMap((_, index) => (matches[index] ? [index] : [])).slice(0, limit);
  const prefix = report.named ? `${name}:` : "";
  if (flags.has("q")) return selected.length > 0;
  if (flags.has("l") || flags.has("L")) {
    if (selected.length > 0 === flags.has("l")) io.out(`${name}\n`);
  } else if (flags.has("c")) {
    io.out(`${prefix}${selected.length}\n`);
  } else if (flags.has("o") && !flags.has("v")) {
    for (const index of selected)
      printParts(io, lines[index] ?? "", flags.has("n") ? `${prefix}${index + 1}:` : prefix, matchers);
  } else {
    printLines(io, name, lines, selected, report);
  }
  return selected.length > 0;
}

function printParts(io: ProgramContext, line: string, prefix: string, matchers: readonly RegExp[]): void {
  for (const matcher of matchers) {
    for (const [part] of line.matchAll(matcher)) if (part !== "") io.out(`${prefix}${part}\n`);
  }
}

/** Lines that match have a colon behind their name, lines around them a dash; `--` stands between groups. */
function printLines(
  io: ProgramContext,
  name: string,
  lines: readonly string[],
  selected: readonly number[],
  report: Report,
): void {
  const { before, after, named, flags } = report;
  const chosen = new Set(selected);
  let printedTo = -1;
  for (const index of selected) {
    const first = Math.max(printedTo + 1, index - before);
    const last = Math.min(lines.length - 1, index + after);
    if (before + after > 0 && printedTo >= 0 && first > printedTo + 1) io.out("--\n");
    for (let at = first; at <= last; at++) {
      const mark = chosen.has(at) ? ":" : "-";
      io.out(`${named ? `${name}${mark}` : ""}${flags.has("n") ? `${at + 1}${mark}` : ""}${lines[at]}\n`);
    }
    printedTo = Math.max(printedTo, last);
  }
}
