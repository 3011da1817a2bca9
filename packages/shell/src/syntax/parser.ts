// From text to commands: the POSIX shell grammar by recursive descent, on the text itself, since a word is reserved only in
// some places. User space counterpart: shell/ash.c of busybox, whose messages are kept.
import { type Assignment, type CaseArm, type Command, type Redirection, type Word } from "./ast.ts";
import { Source, SyntaxProblem } from "./source.ts";
import { delimiterText, plainText, WordReader } from "./words.ts";

const RESERVED = new Set([
  "!",
  "{",
  "}",
  "case",
  "do",
  "done",
  "elif",
  "else",
  "esac",
  "fi",
  "for",
  "if",
  "in",
  "then",
  "until",
  "while",
]);
const ASSIGNMENT = /^([A-Za-z_]\w*)=/;
/** Words that end a list of commands. */
const LIST_END: readonly string[] = ["}", "do", "done", "elif", "else", "esac", "fi", "then"];

/** Parses a whole script. @throws SyntaxProblem */
export function parse(text: string): Command {
  return readCommands(new Source(text), "");
}

/** Whether a text is the beginning of a command that goes on in the next line. */
export function isIncomplete(text: string): boolean {
  try {
    parse(text);
    return false;
  } catch (error) {
    if (error instanceof SyntaxProblem) return error.incomplete;
    throw error;
  }
}

/** Whether a text is one or several whole commands. */
export function isCommand(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxProblem) return false;
    throw error;
  }
}

/** A script that is parsed a line at a time: the commands of a line run before the next line is parsed. */
export class Script {
  readonly #parser: Parser;

  constructor(text: string) {
    this.#parser = new Parser(new Source(text));
  }

  /** The commands of the next line; undefined at the end. @throws SyntaxProblem */
  next(): Command | undefined {
    return this.#parser.line();
  }
}

function readCommands(source: Source, end: string): Command {
  const parser = new Parser(source);
  const body = parser.list();
  parser.expectEnd(end);
  return body;
}

class Parser {
  readonly #source: Source;
  readonly #words: WordReader;

  constructor(source: Source) {
    this.#source = source;
    this.#words = new WordReader(source, readCommands);
  }

  expectEnd(end: string): void {
    this.#skipNewlines();
    if (end === "" ? this.#source.ended : this.#source.accept(end)) return;
    this.#unexpected();
  }

  /** The commands of a line, with the here-documents behind it; undefined at the end of the text. */
  line(): Command | undefined {
    this.#skipNewlines();
    if (this.#source.ended) return undefined;
    const commands: Command[] = [];
    // Ends: each turn passes over a command.
    for (;;) {
      if (this.#atListEnd()) this.#unexpected();
      commands.push(this.#andOr());
      this.#source.skipBlanks();
      if (this.#source.startsWith(";;")) this.#unexpected();
      const more = this.#source.accept(";") || this.#source.accept("&");
      this.#source.skipBlanks();
      if (this.#source.ended || this.#source.newline()) break;
      if (!more) this.#unexpected();
    }
    const [only] = commands;
    return only && commands.length === 1 ? only : { kind: "sequence", commands };
  }

  /** Commands with `;`, `&` or newlines between them, up to a word or token that ends them. */
  list(): Command {
    const commands: Command[] = [];
    // Ends: each turn passes over a part of the text.
    for (;;) {
      this.#skipNewlines();
      if (this.#atListEnd()) break;
      commands.push(this.#andOr());
      this.#source.skipBlanks();
      if (this.#source.startsWith(";;")) break;
      // A command in the background runs to its end here, before the next one.
      if (!this.#source.accept(";") && !this.#source.accept("&") && this.#source.peek() !== "\n") break;
    }
    const [only] = commands;
    return only && commands.length === 1 ? only : { kind: "sequence", commands };
  }

  #andOr(): Command {
    let left = this.#pipeline();
    // Ends: each turn passes over a part of the text.
    for (;;) {
      this.#source.skipBlanks();
      const kind = this.#source.accept("&&") ? "and" : this.#source.accept("||") ? "or" : undefined;
      if (!kind) return left;
      this.#skipNewlines();
      left = { kind, left, right: this.#pipeline() };
    }
  }

  #pipeline(): Command {
    if (this.#acceptWord("!")) return this.#source.nested(() => ({ kind: "not", body: this.#pipeline() }));
    const stages = [this.#command()];
    // Ends: each turn passes over a part of the text.
    for (;;) {
      this.#source.skipBlanks();
      if (this.#source.startsWith("||") || !this.#source.accept("|")) break;
      this.#skipNewlines();
      stages.push(this.#command());
    }
    const [only] = stages;
    return only && stages.length === 1 ? only : { kind: "pipeline", stages };
  }

  #command(): Command {
    return this.#source.nested(() => this.#redirectedCommand());
  }

  #redirectedCommand(): Command {
    const body = this.#compound();
    if (!body) return this.#simple();
    const redirections = this.#redirections();
    return redirections.length === 0 ? body : { kind: "redirected", body, redirections };
  }

  #compound(): Command | undefined {
    this.#source.skipBlanks();
    if (this.#source.accept("(")) {
      const body = this.list();
      this.expectEnd(")");
      return { kind: "subshell", body };
    }
    switch (this.#peekWord()) {
      case "{":
        return this.#group();
      case "if":
        this.#acceptWord("if");
        return this.#ifClause();
      case "while":
      case "until":
        return this.#whileLoop();
      case "for":
        return this.#forLoop();
      case "case":
        return this.#caseOf();
      default:
        return undefined;
    }
  }

  #group(): Command {
    this.#expectWord("{");
    const body = this.list();
    this.#expectWord("}");
    return body;
  }

  /** Behind `if` or `elif`. */
  #ifClause(): Command {
    const condition = this.list();
    this.#expectWord("then");
    const body = this.list();
    if (this.#acceptWord("elif")) return { kind: "if", condition, body, otherwise: this.#ifClause() };
    const otherwise = this.#acceptWord("else") ? this.list() : undefined;
    this.#expectWord("fi");
    return { kind: "if", condition, body, otherwise };
  }

  #whileLoop(): Command {
    const until = this.#acceptWord("until");
    if (!until) this.#expectWord("while");
    const condition = this.list();
    return { kind: "while", until, condition, body: this.#doGroup() };
  }

  #forLoop(): Command {
    this.#expectWord("for");
    const name = plainText(this.#word() ?? []) ?? "";
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new SyntaxProblem("syntax error: bad for loop variable");
    this.#skipNewlines();
    let words: Word[] | undefined;
    if (this.#acceptWord("in")) {
      words = [];
      for (let word = this.#word(); word; word = this.#word()) words.push(word);
    }
    this.#source.skipBlanks();
    this.#source.accept(";");
    return { kind: "for", name, words, body: this.#doGroup() };
  }

  #doGroup(): Command {
    this.#skipNewlines();
    this.#expectWord("do");
    const body = this.list();
    this.#expectWord("done");
    return body;
  }

  #caseOf(): Command {
    this.#expectWord("case");
    const subject = this.#word() ?? [];
    this.#skipNewlines();
    this.#expectWord("in");
    const arms: CaseArm[] = [];
    // Ends: each turn passes over a part of the text.
    for (;;) {
      this.#skipNewlines();
      if (this.#acceptWord("esac")) return { kind: "case", subject, arms };
      this.#source.accept("(");
      const patterns: Word[] = [];
      // Ends: each turn passes over a part of the text.
      do {
        const pattern = this.#word();
        if (!pattern) this.#unexpected();
        patterns.push(pattern);
        this.#source.skipBlanks();
      } while (this.#source.accept("|"));
      if (!this.#source.accept(")")) this.#unexpected();
      arms.push({ patterns, body: this.list() });
      this.#skipNewlines();
      if (!this.#source.accept(";;") && this.#peekWord() !== "esac") this.#unexpected();
    }
  }

  #simple(): Command {
    const assignments: Assignment[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    // Ends: each turn passes over a part of the text.
    for (;;) {
      const redirection = this.#redirection();
      if (redirection) {
        redirections.push(redirection);
        continue;
      }
      const word = this.#word();
      if (!word) break;
      const name = plainText(word);
      if (words.length === 0 && name !== undefined && this.#source.peek() === "(")
        return this.#functionDefinition(name);
      const assignment = words.length === 0 ? toAssignment(word) : undefined;
      if (assignment) assignments.push(assignment);
      else words.push(word);
    }
    if (words.length + assignments.length + redirections.length === 0) this.#unexpected();
    return { kind: "simple", assignments, words, redirections };
  }

  #functionDefinition(name: string): Command {
    this.#source.accept("(");
    this.#source.skipBlanks();
    if (!this.#source.accept(")")) this.#unexpected();
    this.#skipNewlines();
    return { kind: "function", name, body: this.#command() };
  }

  #redirections(): Redirection[] {
    const all: Redirection[] = [];
    for (let redirection = this.#redirection(); redirection; redirection = this.#redirection())
      all.push(redirection);
    return all;
  }

  #redirection(): Redirection | undefined {
    const source = this.#source;
    source.skipBlanks();
    const token = source.take(/\d*(?:<<-?|<&|<|>>|>&|>\||>)/y);
    if (!token) return undefined;
    const digits = /^\d*/.exec(token)?.[0] ?? "";
    const operator = token.slice(digits.length);
    const descriptor = digits === "" ? (operator.startsWith("<") ? 0 : 1) : Number(digits);
    const target = this.#word();
    if (!target) this.#unexpected();
    switch (operator) {
      case "<<":
      case "<<-":
        return this.#hereDocument(descriptor, target, operator === "<<-");
      case "<&":
      case ">&":
        return { kind: "duplicate", descriptor, target };
      case "<":
        return { kind: "read", descriptor, target };
      case ">>":
        return { kind: "append", descriptor, target };
      default:
        return { kind: "write", descriptor, target };
    }
  }

  /** A here-document. Its text follows the line, so its word is filled in at the end of the line. */
  #hereDocument(descriptor: number, delimiter: Word, stripTabs: boolean): Redirection {
    const { text, quoted } = delimiterText(delimiter);
    const word: Word[number][] = [];
    this.#source.expectDocument({
      delimiter: text,
      stripTabs,
      take: (body) => {
        if (quoted) word.push({ kind: "literal", text: body, quoted: true });
        else word.push(...new WordReader(new Source(body, this.#source), readCommands).readExpanding());
      },
    });
    return { kind: "here-document", descriptor, text: word };
  }

  #word(): Word | undefined {
    this.#source.skipBlanks();
    return this.#words.read();
  }

  #skipNewlines(): void {
    // Ends: each turn passes over a part of the text.
    do this.#source.skipBlanks();
    while (this.#source.newline());
  }

  /** The reserved word that stands here, not passed over. */
  #peekWord(): string | undefined {
    this.#source.skipBlanks();
    const found = /[!{}]|[a-z]+/y;
    found.lastIndex = this.#source.at;
    const word = found.exec(this.#source.text)?.[0];
    if (!word || !RESERVED.has(word)) return undefined;
    const behind = this.#source.peek(word.length);
    return behind === "" || /[\s;&|<>()]/.test(behind) ? word : undefined;
  }

  #acceptWord(word: string): boolean {
    if (this.#peekWord() !== word) return false;
    this.#source.at += word.length;
    return true;
  }

  #expectWord(word: string): void {
    this.#skipNewlines();
    if (!this.#acceptWord(word)) this.#unexpected(word);
  }

  #atListEnd(): boolean {
    const word = this.#peekWord();
    if (this.#source.ended || this.#source.peek() === ")" || this.#source.startsWith(";;")) return true;
    return word !== undefined && LIST_END.includes(word);
  }

  #unexpected(expecting?: string): never {
    this.#source.skipBlanks();
    const hint = expecting ? ` (expecting "${expecting}")` : "";
    if (this.#source.ended) throw new SyntaxProblem(`syntax error: unexpected end of file${hint}`, true);
    const token = this.#peekWord() ?? this.#source.take(/\n|;;|&&|\|\||[;&|<>()]|[^\s;&|<>()]+/y) ?? "";
    throw new SyntaxProblem(`syntax error: unexpected ${token === "\n" ? "newline" : `"${token}"`}${hint}`);
  }
}

/** `name=value` as a word in front of the command. */
function toAssignment(word: Word): Assignment | undefined {
  const [first, ...others] = word;
  if (first?.kind !== "literal" || first.quoted) return undefined;
  const found = ASSIGNMENT.exec(first.text);
  if (!found?.[1]) return undefined;
  const rest = first.text.slice(found[0].length);
  return { name: found[1], value: rest === "" ? others : [{ ...first, text: rest }, ...others] };
}
