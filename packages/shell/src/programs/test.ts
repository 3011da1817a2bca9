// test and [: conditions about files, texts and numbers. A number may be as wide as a physical address.
import { KernelError } from "@hetmem/kernel";
import type { Stat } from "@hetmem/vfs";
import { type Program, type ProgramContext, UsageProblem } from "../program.ts";

export const test: Program = function* (io, args) {
  const words = [...args];
  if (words[0] === "[" && words.shift() && words.pop() !== "]") throw new UsageProblem("missing ]", 2);
  const condition = new Condition(io, words);
  return condition.holds() ? 0 : 1;
};

const NESTING_MAX = 500;

class Condition {
  readonly #io: ProgramContext;
  readonly #words: readonly string[];
  #at = 0;
  #nesting = 0;

  constructor(io: ProgramContext, words: readonly string[]) {
    this.#io = io;
    this.#words = words;
  }

  /** @throws UsageProblem, status 2, when the words are no condition */
  holds(): boolean {
    if (this.#words.length === 0) return false;
    const value = this.#or();
    const extra = this.#words[this.#at];
    if (extra !== undefined) throw new UsageProblem(`${extra}: unknown operand`, 2);
    return value;
  }

  #or(): boolean {
    let value = this.#and();
    // Ends: each turn passes over a word.
    while (this.#accept("-o")) value = this.#and() || value;
    return value;
  }

  #and(): boolean {
    let value = this.#not();
    // Ends: each turn passes over a word.
    while (this.#accept("-a")) value = this.#not() && value;
    return value;
  }

  /** @throws UsageProblem for more words within words than any script has */
  #not(): boolean {
    if (++this.#nesting > NESTING_MAX)
      throw new UsageProblem(`the condition is nested more than ${NESTING_MAX} deep`, 2);
    const value = this.#notNested();
    this.#nesting--;
    return value;
  }

  #notNested(): boolean {
    return this.#binaryFollows() || !this.#accept("!") ? this.#primary() : !this.#not();
  }

  #primary(): boolean {
    if (this.#binaryFollows()) {
      const [left = "", operator = "", right = ""] = this.#words.slice(this.#at, this.#at + 3);
      this.#at += 3;
      return this.#compare(left, operator, right);
    }
    if (this.#accept("(")) {
      const value = this.#or();
      if (!this.#accept(")")) throw new UsageProblem("closing paren expected", 2);
      return value;
    }
    const word = this.#words[this.#at++];
    if (word === undefined) throw new UsageProblem("argument expected", 2);
    const operand = this.#words[this.#at];
    if (!/^-[bcdefhLnprswxz]$/.test(word) || operand === undefined) return word !== "";
    this.#at++;
    return this.#unary(word, operand);
  }

  #unary(operator: string, operand: string): boolean {
    if (operator === "-n") return operand !== "";
    if (operator === "-z") return operand === "";
    const link = operator === "-h" || operator === "-L";
    const stat = this.#stat(operand, link);
    if (!stat) return false;
    switch (operator) {
      case "-b":
      case "-p":
        return false;
      case "-c":
        return stat.device !== undefined;
      case "-d":
        return stat.kind === "directory";
      case "-f":
        return stat.kind === "file" && !stat.device;
      case "-h":
      case "-L":
        return stat.kind === "link";
      case "-s":
        return stat.size > 0;
      case "-x":
        return (stat.mode & 0o111) !== 0;
      // Root may read and write whatever the bits say; open() may still refuse.
      default:
        return true;
    }
  }

  #stat(path: string, link: boolean): Stat | undefined {
    const { vfs } = this.#io;
    try {
      return link ? vfs.lstat(this.#io.path(path)) : vfs.stat(this.#io.path(path));
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }

  #compare(left: string, operator: string, right: string): boolean {
    switch (operator) {
      case "=":
      case "==":
        return left === right;
      case "!=":
        return left !== right;
      case "<":
        return left < right;
      case ">":
        return left > right;
    }
    const [a, b] = [integer(left), integer(right)];
    switch (operator) {
      case "-eq":
        return a === b;
      case "-ne":
        return a !== b;
      case "-lt":
        return a < b;
      case "-le":
        return a <= b;
      case "-gt":
        return a > b;
      default:
        return a >= b;
    }
  }

  #binaryFollows(): boolean {
    return (
      this.#at + 2 < this.#words.length &&
      /^(?:==?|!=|<|>|-(?:eq|ne|lt|le|gt|ge))$/.test(this.#words[this.#at + 1] ?? "")
    );
  }

  #accept(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }
}

function integer(text: string): bigint {
  if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new UsageProblem(`${text}: bad number`, 2);
  return BigInt(text.trim().replace(/^\+/, ""));
}
