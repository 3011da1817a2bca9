// sed: the commands s///, p, d, q, = and y///, with addresses by number, `$`, /pattern/ and ranges.
import { Operands } from "../operands.ts";
import { parseOptions } from "../options.ts";
import { type Program, UsageProblem } from "../program.ts";
import { patternToRegExp } from "../regular-expression.ts";

type Address = { readonly line: number } | { readonly last: true } | { readonly matches: RegExp };

interface SedCommand {
  readonly from: Address | undefined;
  readonly to: Address | undefined;
  readonly negated: boolean;
  /** Changes the line. @returns how the script goes on */
  readonly run: (cycle: Cycle) => void;
  /** Inside its range of lines. */
  active: boolean;
}

/** One line on its way through the script. */
interface Cycle {
  text: string;
  readonly number: number;
  readonly last: boolean;
  deleted: boolean;
  quit: boolean;
  readonly print: (text: string) => void;
}

export const sed: Program = function* (io, args) {
  const { flags, lists, operands } = parseOptions(args, "nrEe:", {
    long: { quiet: "n", expression: "e", "regexp-extended": "E" },
  });
  const scripts = lists.get("e") ?? operands.slice(0, 1);
  if (scripts.length === 0) throw new UsageProblem("usage: sed [-nE] [-e SCRIPT]... [FILE]...");
  const commands = new Script(scripts.join("\n"), flags.has("E") || flags.has("r")).commands();
  const inputs = new Operands(io, lists.has("e") ? operands : operands.slice(1));
  let number = 0;
  const edit = (text: string, last: boolean): boolean => {
    const cycle: Cycle = {
      text,
      number: ++number,
      last,
      deleted: false,
      quit: false,
      print: (line) => io.out(`${line}\n`),
    };
    for (const command of commands) {
      if (selects(command, cycle) !== command.negated) command.run(cycle);
      if (cycle.deleted || cycle.quit) break;
    }
    if (!cycle.deleted && !flags.has("n")) cycle.print(cycle.text);
    return cycle.quit;
  };
  // Whether a line is the last is known when the next has been looked for.
  let waiting: string | undefined;
  let quit = false;
  yield* inputs.lines(function* (line) {
    if (waiting !== undefined) quit = edit(waiting, false);
    waiting = line;
    return quit;
  });
  if (waiting !== undefined && !quit) edit(waiting, true);
  return inputs.failed ? 1 : 0;
};

function selects(command: SedCommand, cycle: Cycle): boolean {
  const { from, to } = command;
  if (!from) return true;
  if (!to) return at(from, cycle);
  if (!command.active) {
    if (!at(from, cycle)) return false;
    // A range whose end is a number behind us is one line long.
    command.active = !("line" in to) || to.line > cycle.number;
    return true;
  }
  if (at(to, cycle) || ("line" in to && to.line <= cycle.number)) command.active = false;
  return true;
}

function at(address: Address, { number, last, text }: Cycle): boolean {
  if ("line" in address) return address.line === number;
  if ("last" in address) return last;
  return text.search(address.matches) >= 0;
}

class Script {
  readonly #text: string;
  readonly #extended: boolean;
  #at = 0;

  constructor(text: string, extended: boolean) {
    this.#text = text;
    this.#extended = extended;
  }

  commands(): SedCommand[] {
    const commands: SedCommand[] = [];
    // Ends: each turn passes over a part of the script.
    for (;;) {
      this.#take(/[\s;]*/y);
      if (this.#at >= this.#text.length) return commands;
      const from = this.#address();
      const to = from && this.#take(/\s*,\s*/y) ? this.#address() : undefined;
      const negated = this.#take(/\s*!\s*/y) !== "";
      this.#take(/\s*/y);
      commands.push({ from, to, negated, run: this.#command(), active: false });
    }
  }

  #address(): Address | undefined {
    const number = this.#take(/\d+/y);
    if (number) return { line: Number(number) };
    if (this.#take(/\$/y)) return { last: true };
    if (!this.#take(/\//y)) return undefined;
    return { matches: patternToRegExp(this.#until("/"), { extended: this.#extended }) };
  }

  #command(): SedCommand["run"] {
    const letter = this.#text.charAt(this.#at++);
    switch (letter) {
      case "p":
        return (cycle) => cycle.print(cycle.text);
      case "d":
        return (cycle) => void (cycle.deleted = true);
      case "q":
        return (cycle) => void (cycle.quit = true);
      case "=":
        return (cycle) => cycle.print(`${cycle.number}`);
      case "s":
        return this.#substitution();
      case "y":
        return this.#transliteration();
      default:
        throw new UsageProblem(`unsupported command ${letter}`);
    }
  }

  #substitution(): SedCommand["run"] {
    const delimiter = this.#text.charAt(this.#at++);
    const pattern = this.#until(delimiter);
    const replacement = this.#until(delimiter);
    const flags = this.#take(/[gpiI0-9]*/y);
    const matcher = patternToRegExp(pattern, { extended: this.#extended, ignoreCase: /i/i.test(flags) });
    const nth = Number(/\d+/.exec(flags)?.[0] ?? 1);
    return (cycle) => {
      let seen = 0;
      const before = cycle.text;
      let changed = false;
      cycle.text = before.replaceAll(matcher, (match: string, ...groups: unknown[]) => {
        seen++;
        if (seen < nth || (seen > nth && !flags.includes("g"))) return match;
        changed = true;
        return fillIn(replacement, match, groups);
      });
      if (changed && flags.includes("p")) cycle.print(cycle.text);
    };
  }

  #transliteration(): SedCommand["run"] {
    const delimiter = this.#text.charAt(this.#at++);
    const [from, to] = [[...this.#until(delimiter)], [...this.#until(delimiter)]];
    if (from.length !== to.length) throw new UsageProblem("strings for y command have different lengths");
    return (cycle) =>
      void (cycle.text = Array.from(cycle.text, (char) => to[from.indexOf(char)] ?? char).join(""));
  }

  /** Text up to an unescaped delimiter, which loses its backslash. */
  #until(delimiter: string): string {
    let text = "";
    // Ends: each turn passes over a part of the script.
    while (this.#text.charAt(this.#at) !== delimiter) {
      if (this.#at >= this.#text.length) throw new UsageProblem("unmatched '" + delimiter + "'");
      if (this.#text.charAt(this.#at) === "\\") {
        const escaped = this.#text.charAt(this.#at + 1);
        text += escaped === delimiter ? delimiter : `\\${escaped}`;
        this.#at += 2;
      } else {
        text += this.#text.charAt(this.#at++);
      }
    }
    this.#at++;
    return text;
  }

  #take(expression: RegExp): string {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }
}

/** `&` is the match, `\1` a group. */
function fillIn(replacement: string, match: string, groups: readonly unknown[]): string {
  return replacement.replaceAll(/\\([^])|&/g, (whole, escaped?: string) => {
    if (whole === "&") return match;
    if (escaped && /\d/.test(escaped))
      return escaped === "0" ? match : String(groups[Number(escaped) - 1] ?? "");
    return escaped === "n" ? "\n" : escaped === "t" ? "\t" : (escaped ?? "");
  });
}
