// From words to arguments: parameters, command substitution and arithmetic in place, then splitting their values into
// fields, then file names. Quoted text takes no part in the last two. POSIX 2.6, Word Expansions.
import type { Sleeps } from "@hetmem/kernel";
import { GlobPattern, hasGlob } from "@hetmem/vfs";
import { evaluate } from "./arithmetic.ts";
import { HELD_MAX, outOfMemory, WORDS_MAX } from "./held.ts";
import { ShellProblem } from "./problem.ts";
import type { Command, ParameterOperation, Word, WordPart } from "./syntax/ast.ts";

/** The part of the shell that expansion needs. */
export interface ExpansionScope {
  /** The value of a variable or of `$?`, `$1`, `$#`, `$$`; undefined when it isn't set. */
  parameter(name: string): string | undefined;
  assign(name: string, value: string): void;
  readonly positional: readonly string[];
  /** `set -u`. */
  readonly unsetIsError: boolean;
  /** The output of a command. */
  substitute(body: Command): Sleeps<string>;
  /** File names for a pattern, as it was typed. */
  glob(pattern: string): string[];
}

/** A run of text in a field. Quoted text is neither split nor a pattern. */
interface Run {
  readonly text: string;
  readonly quoted: boolean;
  /** The text is the value of an expansion: unquoted it is split. */
  readonly expanded: boolean;
}

/** A place where a field ends even if it is empty: between the members of "$@". */
const BREAK = Symbol("field break");
type Item = Run | typeof BREAK;

/** The arguments that words stand for. */
export function* expandWords(words: readonly Word[], scope: ExpansionScope): Sleeps<string[]> {
  const args: string[] = [];
  let bytes = 0;
  for (const word of words) {
    for (const field of splitFields(yield* runsOf(word, scope), scope.parameter("IFS") ?? " \t\n")) {
      const pattern = patternOf(field);
      const names = hasGlob(pattern) ? scope.glob(pattern) : [];
      for (const text of names.length > 0 ? names : [textOf(field)]) {
        args.push(text);
        bytes += text.length;
      }
      if (bytes > HELD_MAX) outOfMemory("a list of words");
      if (args.length > WORDS_MAX) outOfMemory("a list", `${WORDS_MAX} words`);
    }
  }
  return args;
}

/** One string, neither split nor matched: the value of an assignment, the target of a redirection. */
export function* expandWord(word: Word, scope: ExpansionScope): Sleeps<string> {
  const runs = yield* runsOf(word, scope);
  return runs.map((run) => (run === BREAK ? " " : run.text)).join("");
}

/** A word as a pattern, in which quoted text stands for itself: for `case` and `${x#…}`. */
export function* expandPattern(word: Word, scope: ExpansionScope): Sleeps<string> {
  return patternOf((yield* runsOf(word, scope)).filter((run) => run !== BREAK));
}

function* runsOf(word: Word, scope: ExpansionScope): Sleeps<Item[]> {
  const items: Item[] = [];
  let bytes = 0;
  for (const part of word) {
    for (const item of yield* expandPart(part, scope)) {
      items.push(item);
      if (item !== BREAK) bytes += item.text.length;
    }
    if (bytes > HELD_MAX) outOfMemory("a word");
  }
  return items;
}

function* expandPart(part: WordPart, scope: ExpansionScope): Sleeps<Item[]> {
  switch (part.kind) {
    case "literal":
      return [{ text: part.text, quoted: part.quoted, expanded: false }];
    case "command":
      return [expandedRun(withoutNewlines(yield* scope.substitute(part.body)), part.quoted)];
    case "arithmetic": {
      const expression = yield* expandWord(part.expression, scope);
      const value = evaluate(expression, {
        get: (name) => scope.parameter(name),
        set: (name, to) => scope.assign(name, to),
      });
      return [expandedRun(value.toString(), part.quoted)];
    }
    case "parameter":
      if (part.name === "@" || part.name === "*") return expandPositional(part.name, part.quoted, scope);
      return yield* expandParameter(part, scope);
  }
}

function expandPositional(name: "@" | "*", quoted: boolean, scope: ExpansionScope): Item[] {
  if (quoted && name === "*")
    return [expandedRun(scope.positional.join((scope.parameter("IFS") ?? " ").charAt(0)), true)];
  return scope.positional.flatMap((value, index) => [
    ...(index > 0 ? ([BREAK] as const) : []),
    expandedRun(value, quoted),
  ]);
}

function* expandParameter(
  part: Extract<WordPart, { kind: "parameter" }>,
  scope: ExpansionScope,
): Sleeps<Item[]> {
  const { name, operation, quoted } = part;
  const value = scope.parameter(name);
  if (!operation || operation.kind === "length") {
    if (value === undefined && scope.unsetIsError) throw new ShellProblem(`${name}: parameter not set`);
    return [expandedRun(operation ? `${(value ?? "").length}` : (value ?? ""), quoted)];
  }
  const items = yield* applyOperation(name, operation, value, quoted, scope);
  return items.length === 0 && quoted ? [expandedRun("", true)] : items;
}

function* applyOperation(
  name: string,
  operation: Exclude<ParameterOperation, { kind: "length" }>,
  value: string | undefined,
  quoted: boolean,
  scope: ExpansionScope,
): Sleeps<Item[]> {
  const { kind, argument } = operation;
  if (kind === "#" || kind === "##" || kind === "%" || kind === "%%") {
    return [expandedRun(trimPattern(value ?? "", kind, yield* expandPattern(argument, scope)), quoted)];
  }
  const missing = value === undefined || (kind.startsWith(":") && value === "");
  switch (kind.at(-1)) {
    case "-":
      return missing ? yield* runsOf(argument, scope) : [expandedRun(value, quoted)];
    case "+":
      return missing ? [] : yield* runsOf(argument, scope);
    case "=": {
      if (!missing) return [expandedRun(value, quoted)];
      const assigned = yield* expandWord(argument, scope);
      scope.assign(name, assigned);
      return [expandedRun(assigned, quoted)];
    }
    default: {
      if (!missing) return [expandedRun(value, quoted)];
      const message = yield* expandWord(argument, scope);
      throw new ShellProblem(`${name}: ${message || "parameter not set"}`);
    }
  }
}

/** `#` takes the shortest match from the front, `##` the longest, `%` and `%%` from the back. */
function trimPattern(value: string, kind: "#" | "##" | "%" | "%%", pattern: string): string {
  const front = kind.startsWith("#");
  const glob = front ? GlobPattern.parse(pattern) : GlobPattern.parse(pattern).reversed();
  let length: number | undefined;
  for (const matched of glob.prefixes(front ? value : backwards(value))) {
    length = matched;
    if (kind.length === 1) break;
  }
  if (length === undefined) return value;
  return front ? value.slice(length) : value.slice(0, value.length - length);
}

function backwards(text: string): string {
  return text.split("").toReversed().join("");
}

/** A text without the newlines at its end. */
function withoutNewlines(text: string): string {
  let end = text.length;
  // Ends: each turn takes a character.
  while (end > 0 && text.charAt(end - 1) === "\n") end--;
  return text.slice(0, end);
}

function expandedRun(text: string, quoted: boolean): Run {
  return { text, quoted, expanded: true };
}

/** Splits unquoted expansions at IFS. A field with nothing in it remains only if something in it was quoted. */
function splitFields(items: readonly Item[], separators: string): Run[][] {
  const fields: Run[][] = [];
  let field: Run[] = [];
  const end = (): void => {
    if (field.some((run) => run.quoted || run.text !== "")) fields.push(field);
    field = [];
  };
  for (const item of items) {
    if (item === BREAK) {
      end();
    } else if (item.quoted || !item.expanded || separators === "") {
      field.push(item);
    } else {
      const pieces = splitText(item.text, separators);
      pieces.forEach((piece, index) => {
        if (index > 0) end();
        // Between two separators that aren't blanks there is a field, if an empty one.
        const kept = piece === "" && index > 0 && index < pieces.length - 1;
        field.push({ ...item, text: piece, quoted: kept });
      });
    }
  }
  end();
  return fields;
}

/** Pieces between separators: blanks count as one, anything else in IFS each for itself, with the blanks around it. */
function splitText(text: string, separators: string): string[] {
  const pieces: string[] = [];
  const skipBlanks = (from: number): number => {
    let at = from;
    // Ends: each turn passes over a character.
    while (at < text.length && isBlank(text.charAt(at)) && separators.includes(text.charAt(at))) at++;
    return at;
  };
  let start = 0;
  // Ends: each turn passes over a character at least.
  for (let at = 0; at < text.length;) {
    if (!separators.includes(text.charAt(at))) {
      at++;
      continue;
    }
    pieces.push(text.slice(start, at));
    if (pieces.length > WORDS_MAX) outOfMemory("a list", `${WORDS_MAX} words`);
    at = skipBlanks(at);
    const other = text.charAt(at);
    if (at < text.length && separators.includes(other)) at = skipBlanks(at + 1);
    start = at;
  }
  pieces.push(text.slice(start));
  return pieces;
}

function isBlank(character: string): boolean {
  return character === " " || character === "\t" || character === "\n";
}

function textOf(field: readonly Run[]): string {
  return field.map(({ text }) => text).join("");
}

/** The field as a pattern: quoted characters are escaped. */
function patternOf(field: readonly Item[]): string {
  return field
    .map((run) =>
      run === BREAK
        ? ""
        : run.quoted
          ? run.text.replaceAll(/[\\*?[\]!^-]/g, String.raw`\$&`)
          : escapeBackslash(run),
    )
    .join("");
}

/** A backslash in the value of an expansion is a literal backslash. */
function escapeBackslash({ text, expanded }: Run): string {
  return expanded ? text.replaceAll("\\", "\\\\") : text;
}
