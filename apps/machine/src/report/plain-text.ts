// Text from outside: names of files, of hosts and of devices, and what stood in a file that is refused. A terminal obeys
// control characters, so that none of them is printed as it came.

/** All that moves a cursor, hides or turns letters round, but line ends and tabs; and halves of surrogate pairs. */
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
