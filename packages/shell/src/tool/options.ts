// The options of ndctl and daxctl, which are those of git: long names may be cut short, every long option has a
// `--no-` form, and a wrong one is answered with the usage and status 129. User space counterpart: util/parse-options.c
// of ndctl.
import { type FoundOption, type Options, type OptionStyle, readOptions } from "../options.ts";
import { UsageProblem } from "../program.ts";

export interface ToolOption {
  readonly short?: string;
  readonly long: string;
  /** The name of its value in the usage, for options that have one. */
  readonly value?: string;
  /** The value is a decimal number: anything else is refused. */
  readonly numeric?: true;
  /** A flag that is set unless its `--no-` form is given. */
  readonly initially?: true;
  readonly help: string;
}

export interface ToolUsage {
  /** Behind "usage: ". */
  readonly line: string;
  readonly options: readonly ToolOption[];
}

/** The options of a call, by long names. */
export type ToolArguments = Options;

/** Exit status of a wrong call. */
export const USAGE_STATUS = 129;
/** Status of `--list-opts`, which shells complete words with. */
const LIST_STATUS = 130;
/** Column at which the help of an option begins, and the gap before it. */
const OPTION_WIDTH = 24;
const GAP = 2;

/** An answer that ends a call before its command runs. */
export class ToolAnswer extends UsageProblem {
  readonly stream: "out" | "err";
  readonly text: string;

  constructor(stream: "out" | "err", text: string, status: number) {
    super(text, status);
    this.stream = stream;
    this.text = text;
  }
}

/** A wrong call: an explanation, and the usage with the options that it concerns. */
export class ToolUsageProblem extends ToolAnswer {
  constructor(usage: ToolUsage, explanation = "", about: readonly ToolOption[] = usage.options) {
    const options = about.map(formatOption).join("");
    const end = about === usage.options ? "\n" : "";
    super("err", `${explanation}\n usage: ${usage.line}\n\n${options}${end}`, USAGE_STATUS);
  }
}

/** The options of a call, by their long names. @throws ToolAnswer */
export function parseToolOptions(args: readonly string[], usage: ToolUsage): ToolArguments {
  return readOptions(args, new ToolStyle(usage));
}

/** A number of bytes with a suffix; undefined when it isn't one. @see parse_size64() */
export function parseSize(text: string): number | undefined {
  const [, digits, suffix = ""] = /^(\d+|0x[0-9a-f]+)([kmgt]?)$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const number = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return number * 1024 ** " kmgt".indexOf(suffix.toLowerCase() || " ");
}

/** The text of `error()`. */
export function errorLine(text: string): string {
  return `  Error: ${text}\n`;
}

/** A long option as it was written. */
interface LongMatch {
  readonly option: ToolOption;
  /** Its `--no-` form. */
  readonly unset: boolean;
  /** Only the beginning of the name was given. */
  readonly abbreviated: boolean;
}

class ToolStyle implements OptionStyle {
  readonly initially: readonly string[];
  readonly #usage: ToolUsage;

  constructor(usage: ToolUsage) {
    this.#usage = usage;
    this.initially = usage.options.filter(({ initially }) => initially).map(({ long }) => long);
  }

  /** @see parse_long_opt() */
  long(name: string, value: string | undefined): FoundOption {
    const text = value === undefined ? name : `${name}=${value}`;
    if (text === "help" || text === "help-all") throw new ToolUsageProblem(this.#usage);
    if (text === "list-opts") {
      const names = this.#usage.options.map(({ long }) => `--${long} `).join("");
      throw new ToolAnswer("out", names, LIST_STATUS);
    }
    const matches = this.#usage.options.flatMap((option) => matchLong(option, name) ?? []);
    const exact = matches.find(({ abbreviated }) => !abbreviated);
    // Of several beginnings, the last two are told.
    const [before, last] = [matches.at(-2), matches.at(-1)];
    if (!exact && before && last)
      throw this.#refuse(
        `Ambiguous option: ${text} (could be --${shownName(before)} or --${shownName(last)})`,
        text,
      );
    const { option, unset } = exact ?? last ?? this.#unknown(`unknown option \`${text}'`);
    const shown = `option \`${unset ? "no-" : ""}${option.long}'`;
    if (value !== undefined && (unset || option.value === undefined))
      throw this.#refuse(`${shown} takes no value`, text);
    return { name: option.long, takesValue: option.value !== undefined, unset, shown };
  }

  /** @see parse_short_opt() */
  short(letters: string, at: number): FoundOption {
    const letter = letters.charAt(at);
    if (letter === "h") throw new ToolUsageProblem(this.#usage);
    const option =
      this.#usage.options.find(({ short }) => short === letter) ??
      this.#unknown(`unknown switch \`${letter}'`);
    const takesValue = option.value !== undefined;
    if (!takesValue && at === 0 && letters.length >= 3) this.#checkTypos(letters);
    return { name: option.long, takesValue, shown: `switch \`${letter}'` };
  }

  checkValue({ name, shown }: FoundOption, value: string | undefined, given: string): string {
    if (value === undefined) throw this.#refuse(`${shown} requires a value`, given);
    const numeric = this.#usage.options.some((option) => option.long === name && option.numeric);
    if (numeric && !/^\s*[+-]?\d*$/.test(value))
      throw this.#refuse(`${shown} expects a numerical value`, given);
    return value;
  }

  /** `-region`, where `--region` was meant. @see check_typos() */
  #checkTypos(letters: string): void {
    const meant =
      letters.startsWith("no-") || this.#usage.options.some(({ long }) => long.startsWith(letters));
    if (!meant) return;
    throw new ToolAnswer("err", errorLine(`did you mean \`--${letters}\` (with two dashes ?)`), USAGE_STATUS);
  }

  /** The usage, and of the options only the one that was misused. @see parse_options_usage() */
  #refuse(problem: string, given: string): ToolUsageProblem {
    const isShort = problem.startsWith("switch");
    const named = (long: string): boolean => given.startsWith(long) || given.startsWith(`no-${long}`);
    const option = this.#usage.options.find(({ short, long }) =>
      isShort ? short === given.charAt(0) : named(long),
    );
    return new ToolUsageProblem(this.#usage, errorLine(problem), option ? [option] : []);
  }

  #unknown(problem: string): never {
    throw new ToolUsageProblem(this.#usage, errorLine(problem));
  }
}

/** Whether a name is that of an option, or begins one; with `no-` before either, it is taken back. */
function matchLong(option: ToolOption, name: string): LongMatch | undefined {
  const { long } = option;
  const match = (unset: boolean, abbreviated: boolean): LongMatch => ({ option, unset, abbreviated });
  if (name === long) return match(false, false);
  // One that says no itself is taken back by its name without it.
  const positive = long.startsWith("no-") ? long.slice("no-".length) : undefined;
  if (name === positive) return match(true, false);
  if (positive?.startsWith(name)) return match(true, true);
  if (long.startsWith(name)) return match(false, true);
  if ("no-".startsWith(name)) return match(true, true);
  if (!name.startsWith("no-")) return undefined;
  const negated = name.slice("no-".length);
  if (negated === long) return match(true, false);
  return long.startsWith(negated) ? match(true, true) : undefined;
}

function shownName({ option, unset }: LongMatch): string {
  return `${unset ? "no-" : ""}${option.long}`;
}

function formatOption({ short, long, value, help }: ToolOption): string {
  const name = `${short === undefined ? "    " : `-${short}, `}--${long}${value === undefined ? "" : ` <${value}>`}`;
  const left = `    ${name}`;
  const fits = left.length <= OPTION_WIDTH;
  const pad = " ".repeat((fits ? OPTION_WIDTH - left.length : OPTION_WIDTH) + GAP);
  return `${left}${fits ? "" : "\n"}${pad}${help}\n`;
}
