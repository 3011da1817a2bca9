// echo and printf: text from arguments. Both are part of busybox's shell, so a write that fails is the shell's error.
import { strerror } from "@hetmem/kernel";
import { type Program, UsageProblem } from "../program.ts";

export const echo: Program = function* (io, args) {
  const words = [...args];
  let newline = true;
  let escapes = false;
  // Ends: each turn takes a word.
  while (/^-[neE]+$/.test(words[0] ?? "")) {
    for (const letter of words.shift() ?? "") {
      if (letter === "n") newline = false;
      if (letter !== "n" && letter !== "-") escapes = letter === "e";
    }
  }
  const text = words.join(" ");
  const { text: decoded, stopped } = escapes ? unescape(text) : { text, stopped: false };
  io.out(newline && !stopped ? `${decoded}\n` : decoded);
  return 0;
};

const DIRECTIVE = /%%|%([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?([sbcdiuxXo])/g;

export const printf: Program = function* (io, args) {
  const [format, ...values] = args;
  if (format === undefined) throw new UsageProblem("usage: printf FORMAT [ARG]...", 2);
  const { text: template } = unescape(format);
  const invalid: string[] = [];
  let left = values;
  // The format is used again until the arguments are used up, if it uses any.
  // Ends: each turn uses an argument at least.
  for (;;) {
    const rest = [...left];
    for (const piece of fillFormat(template, rest, invalid)) {
      io.out(piece);
      yield* io.turn();
    }
    if (rest.length === 0 || rest.length === left.length) break;
    left = rest;
  }
  for (const value of invalid) io.err(`sh: invalid number '${value}'\n`);
  return invalid.length > 0 ? 1 : 0;
};

/** Characters of padding that are printed at a time. */
const FILL_BYTES = 65_536;
/** The largest count of printf(3), an int. @see EOVERFLOW */
const WIDTH_MAX = 0x7fff_ffff;

/**
 * Fills in the format once.
 *
 * @param rest the values; those that the format uses are taken off
 * @param invalid gets each value that should be a number and is none
 */
function* fillFormat(template: string, rest: string[], invalid: string[]): Generator<string, void, void> {
  let at = 0;
  for (const found of template.matchAll(DIRECTIVE)) {
    const [directive, flags = "", width, precision, kind = "s"] = found;
    yield template.slice(at, found.index);
    at = found.index + directive.length;
    if (directive === "%%") {
      yield "%";
      continue;
    }
    const [fieldWidth = 0, digits] = [sizeOf(width, rest), sizeOf(precision, rest)];
    const value = rest.shift() ?? "";
    const converted = convert(kind, value, digits);
    if (converted === undefined) invalid.push(value);
    yield* pad(converted ?? "0", fieldWidth < 0 ? `${flags}-` : flags, Math.abs(fieldWidth), kind, digits);
  }
  yield template.slice(at);
}

/** A width or a precision: a number, or the next value. @throws UsageProblem EOVERFLOW */
function sizeOf(given: string | undefined, rest: string[]): number | undefined {
  if (given === undefined) return undefined;
  const size = Number(given === "*" ? (rest.shift() ?? 0) : given);
  if (Number.isNaN(size)) return 0;
  if (Math.abs(size) > WIDTH_MAX) throw new UsageProblem(`printf: ${strerror("EOVERFLOW")}`);
  return Math.trunc(size);
}

/** Undefined when the value should be a number and is none. */
function convert(kind: string, value: string, precision: number | undefined): string | undefined {
  switch (kind) {
    case "s":
      return precision === undefined || precision < 0 ? value : value.slice(0, precision);
    case "b":
      return unescape(value).text;
    case "c":
      return value.charAt(0);
    default: {
      const number = /^["']/.test(value) ? BigInt(value.charCodeAt(1) || 0) : parseInteger(value || "0");
      if (number === undefined) return undefined;
      const unsigned = BigInt.asUintN(64, number);
      const text = {
        x: unsigned.toString(16),
        X: unsigned.toString(16).toUpperCase(),
        o: unsigned.toString(8),
        u: unsigned.toString(),
      }[kind];
      return text ?? BigInt.asIntN(64, number).toString();
    }
  }
}

function parseInteger(text: string): bigint | undefined {
  if (!/^[-+]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(text)) return undefined;
  const negative = text.startsWith("-");
  const digits = text.replace(/^[-+]/, "");
  const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return negative ? -value : value;
}

/** A field in pieces: blanks or zeros may be many. */
function* pad(
  text: string,
  flags: string,
  width: number,
  kind: string,
  precision = 0,
): Generator<string, void, void> {
  const number = /[diuxXo]/.test(kind);
  const [, minus = "", digits = ""] = /^(-?)(.*)$/s.exec(text) ?? [];
  if (!number) {
    const blanks = width - text.length;
    if (flags.includes("-")) yield text;
    yield* fill(" ", blanks);
    if (!flags.includes("-")) yield text;
    return;
  }
  const sign = minus || (flags.includes("+") ? "+" : "");
  const prefix = flags.includes("#") && /[xX]/.test(kind) && text !== "0" ? `0${kind}` : "";
  const taken = sign.length + prefix.length + digits.length;
  const padsZeros = flags.includes("0") && !flags.includes("-") && precision <= 0;
  const zeros = Math.max(0, padsZeros ? width - taken : precision - digits.length);
  const blanks = width - taken - zeros;
  if (!flags.includes("-")) yield* fill(" ", blanks);
  yield sign + prefix;
  yield* fill("0", zeros);
  yield digits;
  if (flags.includes("-")) yield* fill(" ", blanks);
}

function* fill(character: string, count: number): Generator<string, void, void> {
  for (let left = count; left > 0; left -= FILL_BYTES) yield character.repeat(Math.min(left, FILL_BYTES));
}

const ESCAPED: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
};

/** Replaces the escapes `\n`, `\t`, `\0101`, `\x41`; `\c` ends the text there. */
function unescape(text: string): { text: string; stopped: boolean } {
  const end = /(?<!\\)(?:\\\\)*\\c/.exec(text);
  const kept = end ? text.slice(0, end.index + end[0].length - 2) : text;
  const decoded = kept.replaceAll(
    /\\(?:(0?[0-7]{1,3})|x([0-9a-fA-F]{1,2})|([abfnrtv\\]))/g,
    (_, octal?: string, hex?: string, letter?: string) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return ESCAPED[letter ?? ""] ?? "";
    },
  );
  return { text: decoded, stopped: end !== null };
}
