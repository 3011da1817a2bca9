// Text as `ndctl` and `daxctl` print it: two spaces a level, nothing behind a colon, slashes with a backslash. 64-bit integers are bigints.
// Kernel counterpart: none, this is json-c with JSON_C_TO_STRING_PRETTY.

/** @returns text without a newline behind it */
export function formatNdctlJson(value: unknown): string {
  return format(value, "");
}

function format(value: unknown, indent: string): string {
  if (typeof value === "bigint") return `${value}`;
  if (Array.isArray(value))
    return block(
      "[",
      "]",
      value.map((one) => format(one, `${indent}  `)),
      indent,
    );
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => `${quoted(name)}:${format(field, `${indent}  `)}`);
    return block("{", "}", fields, indent);
  }
  return typeof value === "string" ? quoted(value) : JSON.stringify(value);
}

function block(open: string, close: string, items: readonly string[], indent: string): string {
  if (items.length === 0) return `${open}${close}`;
  return `${open}\n${items.map((item) => `${indent}  ${item}`).join(",\n")}\n${indent}${close}`;
}

function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("/", String.raw`\/`);
}
