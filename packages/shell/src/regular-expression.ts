// POSIX regular expressions as JavaScript ones: the basic kind, where `\(` groups and `(` is a bracket, and the extended
// kind, the other way round; with the escapes that GNU tools add to both. POSIX.1 chapter 9.
import { UsageProblem } from "./program.ts";

export interface PatternOptions {
  readonly extended?: boolean;
  readonly fixed?: boolean;
  readonly ignoreCase?: boolean;
  /** Only whole words match. */
  readonly word?: boolean;
  /** Only whole lines match. */
  readonly line?: boolean;
}

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\s",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/** Escapes that mean the same in both kinds, and the expression for them. */
const ESCAPES: Readonly<Record<string, string>> = {
  w: String.raw`\w`,
  W: String.raw`\W`,
  s: String.raw`\s`,
  S: String.raw`\S`,
  b: String.raw`\b`,
  B: String.raw`\B`,
  "<": String.raw`\b(?=\w)`,
  ">": String.raw`\b(?<=\w)`,
  n: String.raw`\n`,
  t: String.raw`\t`,
};

/** An expression that finds the pattern anywhere in a line. @throws UsageProblem, status 2, when it isn't one */
export function patternToRegExp(pattern: string, options: PatternOptions = {}): RegExp {
  let source = options.fixed ? escapeText(pattern) : translate(pattern, options.extended ?? false);
  if (options.word) source = String.raw`(?<!\w)(?:${source})(?!\w)`;
  if (options.line) source = `^(?:${source})$`;
  try {
    return new RegExp(source, options.ignoreCase ? "gi" : "g");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageProblem(`bad regex '${pattern}'`, 2);
  }
}

/** Text that stands for itself. */
function escapeText(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}

function translate(pattern: string, extended: boolean): string {
  let source = "";
  for (let at = 0; at < pattern.length;) {
    const bracket = /^\[\^?\]?(?:\[[:.=]\w+[:.=]\]|[^\]])*\]/.exec(pattern.slice(at))?.[0];
    const char = pattern.charAt(at);
    if (char === "[" && bracket) {
      source += translateBracket(bracket);
      at += bracket.length;
    } else if (char === "\\" && at + 1 < pattern.length) {
      source += translateEscape(pattern.charAt(at + 1), extended);
      at += 2;
    } else {
      source += translateChar(pattern, at, extended, source);
      at++;
    }
  }
  return source;
}

function translateEscape(char: string, extended: boolean): string {
  if (Object.hasOwn(ESCAPES, char)) return ESCAPES[char] ?? "";
  if (/[1-9]/.test(char)) return `\\${char}`;
  // The characters that a backslash makes special in the basic kind are those that it makes plain in the extended kind.
  if ("(){}|+?".includes(char)) return extended ? `\\${char}` : char;
  return escapeText(char);
}

function translateChar(pattern: string, at: number, extended: boolean, before: string): string {
  const char = pattern.charAt(at);
  const atStart = before === "" || before.endsWith("(") || (before.endsWith("|") && !before.endsWith("\\|"));
  switch (char) {
    case ".":
      return ".";
    case "*":
      return atStart || before === "^" ? (extended ? "" : "\\*") : "*";
    case "^":
      return extended || atStart ? "^" : "\\^";
    case "$":
      return extended || at === pattern.length - 1 || /^\\[)|]/.test(pattern.slice(at + 1)) ? "$" : "\\$";
    case "{":
      return extended && /^\{\d*,?\d*\}/.test(pattern.slice(at)) ? "{" : "\\{";
    case "}":
      return extended && /\{\d*,?\d*$/.test(pattern.slice(0, at)) ? "}" : "\\}";
    case "(":
    case ")":
    case "|":
    case "+":
    case "?":
      return extended ? char : `\\${char}`;
    default:
      return escapeText(char);
  }
}

/** In brackets a backslash is a character like any other. */
function translateBracket(bracket: string): string {
  const negated = bracket.startsWith("[^");
  const members = bracket.slice(negated ? 2 : 1, -1).match(/\[[:.=]\w+[:.=]\]|[^]/g) ?? [];
  const body = members.map((member, index) => {
    if (member.length > 1) return CLASSES[member.slice(2, -2)] ?? escapeText(member.slice(2, -2));
    if (member === "-" && index > 0 && index < members.length - 1) return "-";
    return member.replaceAll(/[\\\]^[-]/g, String.raw`\$&`);
  });
  return `[${negated ? "^" : ""}${body.join("")}]`;
}
