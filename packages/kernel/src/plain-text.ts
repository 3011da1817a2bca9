// Text from outside, such as the name of a file, a host or a device, or a line of a file that is refused. A terminal obeys
// control characters, so they are escaped before such a text is printed. Kernel counterpart: string_escape_mem() in
// lib/string_helpers.c.

/** Characters that move the cursor, hide letters or reverse them, and halves of surrogate pairs; not line ends and tabs. */
const CONTROLS = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]/gu;

/** The text with each control character written as in a C string: `\x1b`, `\u202e`. */
export function plainText(text: string): string {
  return text.replace(CONTROLS, (control) => {
    const code = control.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : escaped(control);
  });
}

/** A value as JSON, with the control characters escaped that JSON itself leaves alone. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(CONTROLS, escaped);
}

/** By UTF-16 unit, as JSON has it. */
function escaped(control: string): string {
  return Array.from({ length: control.length }, (_, at) => control.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`)
    .join("");
}
