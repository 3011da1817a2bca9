// JSON as ndctl and daxctl print it: no space behind a colon, slashes escaped, and with -u numbers for people. User space
// counterpart: json-c, util/json.c of ndctl.

/** A value that can be printed. undefined properties are left out. */
export type Json =
  | string
  | number
  | bigint
  | boolean
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;

/** A value in lines, without a newline at its end. */
export function formatJson(value: Json, indent = ""): string {
  if (typeof value === "string") return JSON.stringify(value).replaceAll("/", String.raw`\/`);
  if (typeof value !== "object") return `${value}`;
  const inner = `${indent}  `;
  const lines = isList(value)
    ? value.map((item) => formatJson(item, inner))
    : Object.entries(value).flatMap(([key, item]) =>
        item === undefined ? [] : [`${formatJson(key)}:${formatJson(item, inner)}`],
      );
  const [open, close] = isList(value) ? ["[", "]"] : ["{", "}"];
  // json-c begins a line behind the bracket, whether anything follows or not.
  if (lines.length === 0) return `${open}\n${indent}${close}`;
  return `${open}\n${lines.map((line) => inner + line).join(",\n")}\n${indent}${close}`;
}

/** A list as the programs end with one: nothing when it is empty; for people, one item stands alone. @see util_display_json_array() */
export function formatJsonArray(items: readonly Json[], human: boolean): string {
  const [first] = items;
  if (first === undefined) return "";
  return `${formatJson(human && items.length === 1 ? first : items)}\n`;
}

/** Bytes: for people in both kinds of units. @see display_size() */
export function jsonSize(bytes: number, human: boolean): Json {
  if (!human || bytes < 5000 * 1024) return bytes;
  const [unit, binary, decimal] =
    bytes < 2 * GIB ? ["M", MIB, 1e6] : bytes < 2 * TIB ? ["G", GIB, 1e9] : ["T", TIB, 1e12];
  return `${hundredths(bytes, binary)} ${unit}iB (${hundredths(bytes, decimal)} ${unit}B)`;
}

/** Numbers that are ids to people. @see util_json_object_hex() */
export function jsonHex(value: number | bigint, human: boolean): Json {
  if (!human) return value;
  return Number(value) === 0 ? "0" : `0x${BigInt.asUintN(64, BigInt(value)).toString(16)}`;
}

/** A count of units with two decimals, rounded. Bytes times 200 don't fit into a double. */
function hundredths(bytes: number, unit: number): string {
  const count = ((BigInt(bytes) * 200n) / BigInt(unit) + 1n) / 2n;
  return `${count / 100n}.${`${count % 100n}`.padStart(2, "0")}`;
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}
