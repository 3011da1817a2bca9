// A hex dump: sixteen bytes a line in hexadecimal and as text, as xxd(1) prints them. Lines that repeat the line before are
// an asterisk, as in hexdump(1).

const WIDTH = 16;

/** A dump that is made a piece at a time. */
export class HexDump {
  #at: number;
  #before: string | undefined;
  #starred = false;

  /** @param start address of the first byte */
  constructor(start: number) {
    this.#at = start;
  }

  /**
   * The lines of the next bytes.
   *
   * @param bytes whole lines, but for the last piece
   * @param last whether nothing follows: then the last line is printed, though it repeats the one before
   */
  lines(bytes: Uint8Array, last: boolean): string {
    let text = "";
    for (let at = 0; at < bytes.length; at += WIDTH) {
      const body = lineOf(bytes.subarray(at, at + WIDTH));
      const repeats = body === this.#before && !(last && at + WIDTH >= bytes.length);
      if (!repeats) text += `${this.#at.toString(16).padStart(8, "0")}: ${body}\n`;
      else if (!this.#starred) text += "*\n";
      this.#starred = repeats;
      this.#before = body;
      this.#at += WIDTH;
    }
    return text;
  }
}

function lineOf(bytes: Uint8Array): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const text = Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
  return `${hex.replaceAll(/.{1,4}/g, "$& ").padEnd(WIDTH * 2.5)} ${text.join("")}`;
}
