// Reads one word: quotes, `$x`, `${x:-y}`, `$(…)`, backquotes and `$((…))`. Which characters are special differs
// outside quotes, in double quotes and in here-documents; everything else is the same.
import {
  type Command,
  PARAMETER_OPERATORS,
  type ParameterOperation,
  type Word,
  type WordPart,
} from "./ast.ts";
import { Source, SyntaxProblem } from "./source.ts";

/** Parses commands up to a closing token and passes over it. The command parser gives it, so that neither imports the other. */
export type ReadCommands = (source: Source, end: string) => Command;

const WORD_END = /[\s;&|<>()]/;
const NAME = /[A-Za-z_]\w*/y;
const SPECIAL_PARAMETER = /[0-9@*#?$!-]/y;

export class WordReader {
  readonly #source: Source;
  readonly #readCommands: ReadCommands;
  #parts: WordPart[] = [];

  constructor(source: Source, readCommands: ReadCommands) {
    this.#source = source;
    this.#readCommands = readCommands;
  }

  /** The word that begins here, or undefined when an operator or the end does. */
  read(): Word | undefined {
    if (this.#source.ended || WORD_END.test(this.#source.peek())) return undefined;
    return this.#collect(() => {
      // Ends: each turn passes over a character.
      while (!this.#source.ended && !WORD_END.test(this.#source.peek())) this.#readUnquoted();
    });
  }

  /** The rest of the text as inside double quotes: a here-document, or the inside of `$((…))`. */
  readExpanding(): Word {
    return this.#collect(() => {
      // Ends: each turn passes over a character.
      while (!this.#source.ended) this.#readQuotedChar('"');
    });
  }

  #collect(read: () => void): Word {
    const outer = this.#parts;
    this.#parts = [];
    read();
    const word = this.#parts;
    this.#parts = outer;
    return word;
  }

  #readUnquoted(): void {
    const source = this.#source;
    const char = source.next();
    switch (char) {
      case "'":
        return this.#literal(this.#until("'"), true);
      case '"':
        return this.#readDoubleQuotes();
      case "\\":
        if (source.accept("\n")) return undefined;
        return this.#literal(source.ended ? "\\" : source.next(), true);
      case "$":
        return this.#readDollar(false);
      case "`":
        return this.#readBackquotes(false);
      default:
        return this.#literal(char, false);
    }
  }

  #readDoubleQuotes(): void {
    const before = this.#parts.length;
    // Ends: each turn passes over a character.
    while (this.#source.peek() !== '"') {
      if (this.#source.ended) throw new SyntaxProblem("syntax error: unterminated quoted string", true);
      this.#readQuotedChar("");
    }
    this.#source.next();
    // An empty pair of quotes is a word all the same; "$@" of nothing is none.
    if (this.#parts.length === before) this.#literal("", true);
  }

  /** @param plain a character that needs no backslash here although it does in double quotes */
  #readQuotedChar(plain: string): void {
    const source = this.#source;
    const char = source.next();
    if (char === "$") this.#readDollar(true);
    else if (char === "`") this.#readBackquotes(true);
    else if (char !== "\\") this.#literal(char, true);
    else if (source.accept("\n")) return;
    else if ('$`"\\'.includes(source.peek() || "x") && source.peek() !== plain)
      this.#literal(source.next(), true);
    else this.#literal("\\", true);
  }

  #readDollar(quoted: boolean): void {
    const source = this.#source;
    if (source.startsWith("((")) {
      const expression = this.#arithmeticText();
      if (expression !== undefined) {
        const word = source.nested(() => new WordReader(expression, this.#readCommands).readExpanding());
        this.#parts.push({ kind: "arithmetic", expression: word, quoted });
        return;
      }
    }
    if (source.accept("(")) {
      this.#parts.push({ kind: "command", body: this.#readCommands(source, ")"), quoted });
    } else if (source.accept("{")) {
      source.nested(() => this.#readBraces(quoted));
    } else {
      const name = source.take(NAME) ?? source.take(SPECIAL_PARAMETER);
      if (name === undefined) this.#literal("$", quoted);
      else this.#parts.push({ kind: "parameter", name, quoted });
    }
  }

  /** The text inside `((…))`, which is passed over; undefined, and nothing is passed over, where there is no `((`. */
  #arithmeticText(): Source | undefined {
    const source = this.#source;
    let depth = 0;
    for (let at = source.at; at < source.text.length; at++) {
      const char = source.text.charAt(at);
      if (char === "(") depth++;
      if (char === ")" && --depth === 0) {
        if (source.text.charAt(at - 1) !== ")") return undefined;
        const inside = source.text.slice(source.at + 2, at - 1);
        source.at = at + 1;
        return new Source(inside, source);
      }
    }
    throw new SyntaxProblem("syntax error: missing '))'", true);
  }

  #readBraces(quoted: boolean): void {
    const source = this.#source;
    const length = source.peek() === "#" && source.peek(1) !== "}";
    if (length) source.next();
    const name = source.take(NAME) ?? source.take(/\d+/y) ?? source.take(SPECIAL_PARAMETER);
    if (name === undefined) throw new SyntaxProblem("syntax error: bad substitution");
    let operation: ParameterOperation | undefined = length ? { kind: "length" } : undefined;
    if (source.peek() !== "}" && !length) {
      const kind = PARAMETER_OPERATORS.find((operator) => source.accept(operator));
      if (!kind) throw new SyntaxProblem("syntax error: bad substitution");
      operation = { kind, argument: this.#readArgument(quoted && !/[#%]/.test(kind)) };
    }
    if (!source.accept("}")) throw new SyntaxProblem("syntax error: missing '}'", source.ended);
    this.#parts.push(
      operation ? { kind: "parameter", name, operation, quoted } : { kind: "parameter", name, quoted },
    );
  }

  /** The word behind an operator of `${…}`, up to its closing brace. */
  #readArgument(quoted: boolean): Word {
    return this.#collect(() => {
      // Ends: each turn passes over a character.
      while (this.#source.peek() !== "}") {
        if (this.#source.ended) throw new SyntaxProblem("syntax error: missing '}'", true);
        if (quoted && this.#source.peek() !== '"') this.#readQuotedChar("");
        else this.#readUnquoted();
      }
    });
  }

  #readBackquotes(quoted: boolean): void {
    let text = "";
    const source = this.#source;
    // Ends: each turn passes over a character.
    while (source.peek() !== "`") {
      if (source.ended) throw new SyntaxProblem("syntax error: EOF in backquote substitution", true);
      const char = source.next();
      if (char === "\\" && ("$`\\".includes(source.peek()) || (quoted && source.peek() === '"')))
        text += source.next();
      else text += char;
    }
    source.next();
    const inner = new Source(text, source);
    this.#parts.push({ kind: "command", body: this.#readCommands(inner, ""), quoted });
  }

  #until(end: string): string {
    const source = this.#source;
    const stop = source.text.indexOf(end, source.at);
    if (stop < 0) throw new SyntaxProblem("syntax error: unterminated quoted string", true);
    const text = source.text.slice(source.at, stop);
    source.at = stop + 1;
    return text;
  }

  /** Literals of one kind that follow each other are one part. */
  #literal(text: string, quoted: boolean): void {
    const last = this.#parts.at(-1);
    if (last?.kind === "literal" && last.quoted === quoted) {
      this.#parts[this.#parts.length - 1] = { kind: "literal", text: last.text + text, quoted };
    } else {
      this.#parts.push({ kind: "literal", text, quoted });
    }
  }
}

/** The text of a word that is one unquoted literal, as reserved words and names are; undefined for others. */
export function plainText(word: Word): string | undefined {
  const [part, ...others] = word;
  return part?.kind === "literal" && !part.quoted && others.length === 0 ? part.text : undefined;
}

/** The text of a here-document's delimiter, and whether any of it was quoted. */
export function delimiterText(word: Word): { text: string; quoted: boolean } {
  const text = word.map((part) => (part.kind === "literal" ? part.text : "")).join("");
  return { text, quoted: word.some((part) => part.quoted) };
}
