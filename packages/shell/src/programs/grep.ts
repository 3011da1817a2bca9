// grep: lines that match, with the file and line number when asked, and the lines around them.
import { KernelError, type Sleeps, strerror } from "@hetmem/kernel";
import { withoutEnd } from "../operands.ts";
import { type Options, parseOptions } from "../options.ts";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";
import { Input } from "../streams.ts";
import { patternToRegExp } from "../regular-expression.ts";

/** How the lines of one run are shown. */
interface Report {
  readonly matchers: readonly RegExp[];
  readonly flags: ReadonlySet<string>;
  readonly named: boolean;
  readonly before: number;
  readonly after: number;
  /** Matches after which the search of a file ends. */
  readonly limit: number;
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
    limit: Number(options.values.get("m") ?? Number.POSITIVE_INFINITY),
  };
  let failed = false;
  let matched = false;
  for (const operand of files.length > 0 ? files : [recursive ? "." : "-"]) {
    for (const name of recursive ? filesBelow(io, operand) : [operand]) {
      try {
        const input = name === "-" ? io.stdin : new Input(io.vfs.open(io.path(name), "read"));
        const shown = name === "-" ? "(standard input)" : name;
        if (yield* search(io, shown, input, report)) matched = true;
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        const reason = strerror(error.errno);
        if (!flags.has("s")) io.err(`grep: ${name}: ${reason}\n`);
        failed = true;
      }
      if (matched && flags.has("q")) return 0;
      yield* io.turn();
    }
  }
  return failed ? 2 : matched ? 0 : 1;
};

function contextLines({ values }: Options, side: "A" | "B"): number {
  return Number(values.get(side) ?? values.get("C") ?? 0);
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

/** Prints the matches in one file. @returns whether there are any */
function* search(io: ProgramContext, name: string, input: Input, report: Report): Sleeps<boolean> {
  const { flags, matchers, limit } = report;
  const prefix = report.named ? `${name}:` : "";
  const silent = flags.has("q") || flags.has("l") || flags.has("L");
  const printer = new LinePrinter(io, name, report);
  let selected = 0;
  let number = 0;
  // Ends: with the input, a line a turn.
  for (let raw = yield* input.readLine(); raw !== ""; raw = yield* input.readLine()) {
    const line = withoutEnd(raw);
    number++;
    const open = selected < limit;
    if (open && matchers.some((matcher) => line.search(matcher) >= 0) !== flags.has("v")) {
      selected++;
      if (silent) break;
      if (flags.has("o") && !flags.has("v"))
        printParts(io, line, flags.has("n") ? `${prefix}${number}:` : prefix, matchers);
      else if (!flags.has("c")) printer.selected(line, number);
    } else if (!open && !printer.follows(number)) break;
    else if (!flags.has("c") && !flags.has("o")) printer.other(line, number);
    yield* io.turn();
  }
  if (flags.has("l") || flags.has("L")) {
    if (selected > 0 === flags.has("l") && !flags.has("q")) io.out(`${name}\n`);
  } else if (flags.has("c") && !flags.has("q")) io.out(`${prefix}${selected}\n`);
  return selected > 0;
}

function printParts(io: ProgramContext, line: string, prefix: string, matchers: readonly RegExp[]): void {
  for (const matcher of matchers) {
    for (const [part] of line.matchAll(matcher)) if (part !== "") io.out(`${prefix}${part}\n`);
  }
}

/** Lines that match have a colon behind their name, lines around them a dash; `--` stands between groups. */
class LinePrinter {
  readonly #io: ProgramContext;
  readonly #name: string;
  readonly #report: Report;
  /** The last lines before the current one: context of a match that may follow. */
  #waiting: { readonly line: string; readonly number: number }[] = [];
  #printedTo = 0;
  #lastSelected = Number.NEGATIVE_INFINITY;

  constructor(io: ProgramContext, name: string, report: Report) {
    this.#io = io;
    this.#name = name;
    this.#report = report;
  }

  selected(line: string, number: number): void {
    const { before, after } = this.#report;
    const first = this.#waiting[0]?.number ?? number;
    if (before + after > 0 && this.#printedTo > 0 && first > this.#printedTo + 1) this.#io.out("--\n");
    for (const waiting of this.#waiting) this.#print(waiting.line, waiting.number, "-");
    this.#waiting = [];
    this.#print(line, number, ":");
    this.#lastSelected = number;
  }

  other(line: string, number: number): void {
    if (this.follows(number)) {
      this.#print(line, number, "-");
      return;
    }
    if (this.#report.before === 0) return;
    this.#waiting.push({ line, number });
    if (this.#waiting.length > this.#report.before) this.#waiting.shift();
  }

  /** Whether a line stands in the context after a match. */
  follows(number: number): boolean {
    return number <= this.#lastSelected + this.#report.after;
  }

  #print(line: string, number: number, mark: string): void {
    const { named, flags } = this.#report;
    this.#io.out(
      `${named ? `${this.#name}${mark}` : ""}${flags.has("n") ? `${number}${mark}` : ""}${line}\n`,
    );
    this.#printedTo = number;
  }
}
