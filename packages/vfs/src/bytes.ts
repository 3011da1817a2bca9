// Texts of the file system as bytes: each character is one byte. A text with characters above U+00FF is encoded as
// UTF-8.

/**
 * Characters that one call of String.fromCharCode() joins: more arguments would overflow the stack. Reflect.apply()
 * takes the typed array as it is; spread into arguments, each byte costs 18 ns in place of 2.
 */
const CHARACTERS_AT_ONCE = 8192;

/** The bytes of a text: one a character, or UTF-8 when a character is above U+00FF. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff) return utf8Of(text);
    bytes[at] = code;
  }
  return bytes;
}

/** The text with one character for each byte. */
export function textOf(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHARACTERS_AT_ONCE)
    text += Reflect.apply(String.fromCharCode, undefined, bytes.subarray(at, at + CHARACTERS_AT_ONCE));
  return text;
}

function utf8Of(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x1_0000 ? 2 : 3;
    const lead = [0, 0xc0, 0xe0, 0xf0][more] ?? 0;
    bytes.push(lead | (code >> (6 * more)));
    for (let left = more - 1; left >= 0; left--) bytes.push(0x80 | ((code >> (6 * left)) & 0x3f));
  }
  return Uint8Array.from(bytes);
}
