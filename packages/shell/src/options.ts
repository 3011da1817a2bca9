// Options and operands told apart: one walk over the arguments for every family of programs. A style says which options
// there are and how a wrong one is refused; the style of getopt(3) is here, that of ndctl in tool/options.ts.
import { KernelError, memparse } from "@hetmem/kernel";
import { UsageProblem } from "./program.ts";

/** The options that were given, by the names under which a program asks for them. */
export interface Options {
  readonly flags: ReadonlySet<string>;
  /** How often each flag was given: `-vv` counts twice. */
  readonly counts: ReadonlyMap<string, number>;
  /** The last value of each option that has one. */
  readonly values: ReadonlyMap<string, string>;
  /** Every value of an option that may be given more than once. */
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
}

/** An option that an argument names. */
export interface FoundOption {
  /** The name under which the program asks for it. */
  readonly name: string;
  readonly takesValue: boolean;
  /** The `--no-` form: earlier uses of the option are forgotten. */
  readonly unset?: boolean;
  /** Its name in a complaint. */
  readonly shown: string;
}

/** The options of a family of programs, and the messages for wrong ones. */
export interface OptionStyle {
  /** Flags that are set before the first argument. */
  readonly initially: readonly string[];
  /** The option that `--name` or `--name=value` means. @throws UsageProblem */
  long(name: string, value: string | undefined): FoundOption;
  /** The option that a letter behind one dash means. @throws UsageProblem */
  short(letters: string, at: number): FoundOption;
  /**
   * @param value undefined where no argument is left for it
   * @param given the argument from this option on, without its dashes
   * @throws UsageProblem for a value that is missing or wrong
   */
  checkValue(option: FoundOption, value: string | undefined, given: string): string;
}

/** Tells options from operands: `-abc`, `-n5`, `-n 5`, `--name=5`, `--name 5`, `--`. @throws UsageProblem as the style says */
export function readOptions(args: readonly string[], style: OptionStyle): Options {
  const given = new GivenOptions(style);
  const operands: string[] = [];
  const rest = [...args];
  const next = (): string | undefined => rest.shift();
  for (let argument = next(); argument !== undefined; argument = next()) {
    if (argument === "--") operands.push(...rest.splice(0));
    else if (argument.startsWith("--")) given.takeLong(argument.slice(2), next);
    else if (argument.startsWith("-") && argument !== "-") given.takeLetters(argument.slice(1), next);
    else operands.push(argument);
  }
  return { flags: given.flags, counts: given.counts, values: given.values, lists: given.lists, operands };
}

type NextArgument = () => string | undefined;

class GivenOptions {
  readonly flags: Set<string>;
  readonly counts = new Map<string, number>();
  readonly values = new Map<string, string>();
  readonly lists = new Map<string, string[]>();
  readonly #style: OptionStyle;

  constructor(style: OptionStyle) {
    this.#style = style;
    this.flags = new Set(style.initially);
  }

  takeLong(text: string, next: NextArgument): void {
    const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
    const option = this.#style.long(name, value);
    if (option.unset) this.#forget(option);
    else if (option.takesValue) this.#keep(option, value ?? next(), text);
    else this.#set(option);
  }

  /** Letters, the last of which may have a value. */
  takeLetters(letters: string, next: NextArgument): void {
    for (let at = 0; at < letters.length; at++) {
      const option = this.#style.short(letters, at);
      if (option.takesValue) return this.#keep(option, letters.slice(at + 1) || next(), letters.slice(at));
      this.#set(option);
    }
  }

  #set({ name }: FoundOption): void {
    this.flags.add(name);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  #keep(option: FoundOption, value: string | undefined, given: string): void {
    const checked = this.#style.checkValue(option, value, given);
    this.values.set(option.name, checked);
    this.lists.set(option.name, [...(this.lists.get(option.name) ?? []), checked]);
  }

  #forget({ name }: FoundOption): void {
    this.flags.delete(name);
    this.counts.delete(name);
    this.values.delete(name);
    this.lists.delete(name);
  }
}

/**
 * Options as getopt(3) and getopt_long(3) take them; each is asked for by its letter.
 *
 * @param spec the letters a program takes, each with ":" behind it when it has a value: `"n:qv"`
 * @param long long names for them: `{ output: "o" }`
 * @throws UsageProblem
 */
export function parseOptions(
  args: readonly string[],
  spec: string,
  { long = {}, status = 1 }: { long?: Readonly<Record<string, string>>; status?: number } = {},
): Options {
  const found = (letter: string, shown: string): FoundOption => ({
    name: letter,
    takesValue: spec.includes(`${letter}:`),
    shown,
  });
  return readOptions(args, {
    initially: [],
    long(name) {
      const letter = long[name];
      if (!letter) throw new UsageProblem(`unrecognized option '--${name}'`, status);
      return found(letter, name);
    },
    short(letters, at) {
      const letter = letters.charAt(at);
      if (letter === ":" || !spec.includes(letter))
        throw new UsageProblem(`invalid option -- '${letter}'`, status);
      return found(letter, letter);
    },
    checkValue({ shown }, value) {
      if (value === undefined) throw new UsageProblem(`option requires an argument -- '${shown}'`, status);
      return value;
    },
  });
}

/**
 * A size as it was typed: a number, and K, M or G after it.
 *
 * @param complaint the message for a text that is no size
 * @param status the exit status that goes with it
 * @returns bytes
 * @throws UsageProblem
 */
export function sizeOf(
  text: string,
  complaint: string = `"${text}" is not a size: write a number, then K, M or G`,
  status = 1,
): number {
  try {
    return memparse(text);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UsageProblem(complaint, status);
  }
}

/** A number with a suffix, refused as coreutils do. @throws UsageProblem */
export function numberOf(text: string): number {
  return sizeOf(text, `invalid number '${text}'`);
}
