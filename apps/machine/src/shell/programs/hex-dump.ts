// Bytes for people: sixteen a line in hexadecimal and as text, as xxd(1) prints them. Lines that repeat the one before
// are an asterisk, as hexdump(1) does it.

const WIDTH = 16;

/** @param start address of the first byte */
export function hexDump(start: number, bytes: Uint8Array): string {
  const lines: string[] = [];
  let before: string | undefined;
  for (let at = 0; at < bytes.length; at += WIDTH) {
    const body = lineOf(bytes.subarray(at, at + WIDTH));
    const last = at + WIDTH >= bytes.length;
    if (body !== before || last) lines.push(`${(start + at).toString(16).padStart(8, "0")}: ${body}`);
    else if (lines.at(-1) !== "*") lines.push("*");
    before = body;
  }
  return lines.map((line) => `${line}\n`).join("");
}

function lineOf(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const text = Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
  return `${hex.replaceAll(/.{1,4}/g, "$& ").padEnd(WIDTH * 2.5)} ${text.join("")}`;
}
