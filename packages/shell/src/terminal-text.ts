// In the shell a character is a byte. Here text of the terminal, and of a script, becomes bytes, and bytes become text
// again where they are valid UTF-8.
import { bytesOf, textOf } from "@hetmem/vfs";

/** The bytes of a text, a character each. */
export function bytesOfText(text: string): string {
  return isAscii(text) ? text : textOf(new TextEncoder().encode(text));
}

/** The text that bytes encode; the bytes themselves where they encode none. */
export function textOfBytes(bytes: string): string {
  // A text of other characters than bytes comes from hetmem itself.
  if (isAscii(bytes) || /[^\0-\xff]/.test(bytes)) return bytes;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytesOf(bytes));
  } catch (error) {
    if (error instanceof TypeError) return bytes;
    throw error;
  }
}

function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the control characters are the first of them
  return !/[^\0-\x7f]/.test(text);
}
