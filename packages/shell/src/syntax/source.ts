// The text of a script with a cursor in it. The word reader and the command parser move the same cursor: a word may hold a
// command, and a command is made of words.
import { ShellProblem } from "../problem.ts";

/** A script that can't be parsed. The shell prints the message. */
export class SyntaxProblem extends ShellProblem {
  override readonly name = "SyntaxProblem";
  /** The text ended before the command did: an interactive shell asks for another line. */
  readonly incomplete: boolean;

  constructor(message: string, incomplete = false) {
    super(message);
    this.incomplete = incomplete;
  }
}

/** A here-document whose text begins behind the end of the line. */
interface PendingDocument {
  readonly delimiter: string;
  readonly stripTabs: boolean;
  readonly take: (text: string) => void;
}

/** Commands and words within others: each is read by functions that call themselves. */
const DEPTH_MAX = 200;

export class Source {
  readonly text: string;
  at = 0;
  #pending: PendingDocument[] = [];
  #depth: number;

  /** @param outer the text that this one is part of */
  constructor(text: string, outer?: Source) {
    this.text = text;
    this.#depth = outer ? outer.#depth : 0;
  }

  /** Reads a command or a word that may hold others. @throws SyntaxProblem when they are nested too deep */
  nested<T>(read: () => T): T {
    if (this.#depth >= DEPTH_MAX)
      throw new SyntaxProblem(`syntax error: commands are nested more than ${DEPTH_MAX} deep`);
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  peek(offset = 0): string {
    return this.text.charAt(this.at + offset);
  }

  next(): string {
    return this.text.charAt(this.at++);
  }

  startsWith(token: string): boolean {
    return this.text.startsWith(token, this.at);
  }

  /** Moves past the token if it is next. */
  accept(token: string): boolean {
    if (!this.startsWith(token)) return false;
    this.at += token.length;
    return true;
  }

  /** The match of a sticky expression at the cursor, which is passed over. */
  take(expression: RegExp): string | undefined {
    expression.lastIndex = this.at;
    const found = expression.exec(this.text)?.[0];
    if (found) this.at += found.length;
    return found || undefined;
  }

  /** Passes over blanks, continued lines and a comment. */
  skipBlanks(): void {
    // Ends: each turn passes over a character.
    for (;;) {
      if (this.peek() === " " || this.peek() === "\t") this.at++;
      else if (!this.accept("\\\n")) break;
    }
    if (this.peek() === "#") while (!this.ended && this.peek() !== "\n") this.at++;
  }

  /** Passes over the end of a line, and over the here-documents that begin behind it. */
  newline(): boolean {
    if (!this.accept("\n")) return false;
    for (const document of this.#pending.splice(0)) document.take(this.#readDocument(document));
    return true;
  }

  expectDocument(document: PendingDocument): void {
    this.#pending.push(document);
  }

  #readDocument({ delimiter, stripTabs }: PendingDocument): string {
    let text = "";
    // Ends: each turn passes over a line.
    while (!this.ended) {
      const end = this.text.indexOf("\n", this.at);
      const raw = this.text.slice(this.at, end < 0 ? this.text.length : end);
      this.at = end < 0 ? this.text.length : end + 1;
      const line = stripTabs ? raw.replace(/^\t+/, "") : raw;
      if (line === delimiter) return text;
      text += `${line}\n`;
    }
    throw new SyntaxProblem(`the here-document has no line ${delimiter}`, true);
  }
}
