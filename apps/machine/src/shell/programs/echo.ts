// echo and printf: text from arguments. Both are part of busybox's shell, so a write that fails is the shell's error.
import { type Program, UsageProblem } from "../program.ts";

export const echo: Program = function* (io, args) {
  const words = [...args];
  let newline = true;
  let escapes = false;
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
  for (;;) {
    const { text, rest } = fillFormat(template, left, invalid);
    io.out(text);
    if (rest.length === 0 || rest.length === left.length) break;
    left = rest;
  }
  for (const value of invalid) io.err(`sh: invalid number '${value}'\n`);
  return invalid.length > 0 ? 1 : 0;
};

/** Uses the format once. @returns the text and the values it didn't use; what should be a number and isn't is added to `invalid` */
function fillFormat(
  template: string,
  values: readonly string[],
  invalid: string[],
): { text: string; rest: string[] } {
  const rest = [...values];
  const size = (given: string | undefined): number | undefined =>
    given === "*" ? Number(rest.shift() ?? 0) : given === undefined ? undefined : Number(given);
  const text = template.replaceAll(
    DIRECTIVE,
    (
      directive: string,
      flags: string,
      width: string | undefined,
      precision: string | undefined,
      kind: string,
    ) => {
      if (directive === "%%") return "%";
      const [fieldWidth = 0, digits] = [size(width), size(precision)];
      const value = rest.shift() ?? "";
      const converted = convert(kind, value, digits);
      if (converted === undefined) invalid.push(value);
      return pad(converted ?? "0", flags, fieldWidth, kind);
    },
  );
  return { text, rest };
}

/** Undefined when a number is asked for and there is none. */
function convert(kind: string, value: string, precision: number | undefined): string | undefined {
  switch (kind) {
    case "s":
      return precision === undefined ? value : value.slice(0, precision);
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
      return (text ?? BigInt.asIntN(64, number).toString()).padStart(precision ?? 0, "0");
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

function pad(text: string, flags: string, width: number, kind: string): string {
  const number = /[diuxXo]/.test(kind);
  const prefixed = flags.includes("#") && /[xX]/.test(kind) && text !== "0" ? `0${kind}${text}` : text;
  const signed = number && flags.includes("+") && !prefixed.startsWith("-") ? `+${prefixed}` : prefixed;
  if (flags.includes("-")) return signed.padEnd(width);
  if (!flags.includes("0") || !number) return signed.padStart(width);
  const [, sign = "", digits = ""] = /^([-+]?(?:0[xX])?)(.*)$/.exec(signed) ?? [];
  return sign + digits.padStart(width - sign.length, "0");
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

/** Takes `\n`, `\t`, `\0101`, `\x41` for what they mean; `\c` ends the text there. */
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
