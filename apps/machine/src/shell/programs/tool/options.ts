// Options as ndctl and daxctl take them, which is as git does: long names may be cut short, every long option has a
// `--no-` form, and a wrong one is answered with the usage and status 129. User space counterpart: util/parse-options.c
// of ndctl.
import { UsageProblem } from "../../program.ts";

export interface ToolOption {
  readonly short?: string;
  readonly long: string;
  /** What its value is called, for options that have one. */
  readonly value?: string;
  readonly help: string;
}

export interface ToolUsage {
  /** Behind "usage: ". */
  readonly line: string;
  readonly options: readonly ToolOption[];
}

/** What was given, by long names. */
export interface ToolArguments {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly operands: readonly string[];
}

/** Status of a call that isn't understood. */
export const USAGE_STATUS = 129;
/** Column at which the help of an option begins, and the gap before it. */
const OPTION_WIDTH = 24;
const GAP = 2;

/** A call that isn't understood: an explanation, if there is one, and the usage. */
export class ToolUsageProblem extends UsageProblem {
  readonly explanation: string;
  readonly usage: ToolUsage;

  constructor(usage: ToolUsage, explanation = "") {
    super(explanation, USAGE_STATUS);
    this.usage = usage;
    this.explanation = explanation;
  }
}

/** @throws ToolUsageProblem */
export function parseToolOptions(args: readonly string[], usage: ToolUsage): ToolArguments {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const operands: string[] = [];
  const rest = [...args];
  const take = (option: ToolOption, shown: string, attached?: string): void => {
    if (option.value === undefined) {
      flags.add(option.long);
      return;
    }
    const value = attached ?? rest.shift();
    if (value === undefined) throw new ToolUsageProblem(usage, `  Error: ${shown} requires a value\n`);
    values.set(option.long, value);
  };
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === "--") {
      operands.push(...rest.splice(0));
    } else if (argument.startsWith("--")) {
      const [, name = "", value] = /^--([^=]*)(?:=(.*))?$/s.exec(argument) ?? [];
      if (name === "help") throw new ToolUsageProblem(usage);
      const { option, negated } = findLong(usage, name);
      if (negated) flags.delete(option.long);
      else take(option, `option \`${option.long}'`, value);
    } else if (argument.startsWith("-") && argument !== "-") {
      for (let at = 1; at < argument.length; at++) {
        const letter = argument.charAt(at);
        if (letter === "h") throw new ToolUsageProblem(usage);
        const option = usage.options.find(({ short }) => short === letter);
        if (!option) throw new ToolUsageProblem(usage, `  Error: unknown switch \`${letter}'\n`);
        if (option.value === undefined) {
          take(option, "");
          continue;
        }
        take(option, `switch \`${letter}'`, argument.slice(at + 1) || undefined);
        break;
      }
    } else {
      operands.push(argument);
    }
  }
  return { flags, values, operands };
}

/** The usage as it is printed. */
export function formatUsage({ line, options }: ToolUsage): string {
  return `\n usage: ${line}\n\n${options.map(formatOption).join("")}\n`;
}

/** A number of bytes with a suffix; undefined when it isn't one. @see parse_size64() */
export function parseSize(text: string): number | undefined {
  const [, digits, suffix = ""] = /^(\d+|0x[0-9a-f]+)([kmgt]?)$/i.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return Number(digits) * 1024 ** " kmgt".indexOf(suffix.toLowerCase() || " ");
}

/** A long option by its name or the beginning of it, possibly with `no-` before it. */
function findLong(usage: ToolUsage, name: string): { option: ToolOption; negated: boolean } {
  const named = (wanted: string): ToolOption[] => {
    const exact = usage.options.filter(({ long }) => long === wanted);
    return exact.length > 0 ? exact : usage.options.filter(({ long }) => long.startsWith(wanted));
  };
  const found = named(name);
  const negated = name.startsWith("no-") && found.length === 0;
  const [option, other] = negated ? named(name.slice("no-".length)) : found;
  if (!option) throw new ToolUsageProblem(usage, `  Error: unknown option \`${name}'\n`);
  if (other)
    throw new ToolUsageProblem(
      usage,
      `  Error: Ambiguous option: ${name} (could be --${option.long} or --${other.long})\n`,
    );
  return { option, negated };
}

function formatOption({ short, long, value, help }: ToolOption): string {
  const name = `${short === undefined ? "    " : `-${short}, `}--${long}${value === undefined ? "" : ` <${value}>`}`;
  const left = `    ${name}`;
  const fits = left.length <= OPTION_WIDTH;
  const pad = " ".repeat((fits ? OPTION_WIDTH - left.length : OPTION_WIDTH) + GAP);
  return `${left}${fits ? "" : "\n"}${pad}${help}\n`;
}
