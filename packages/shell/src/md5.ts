// MD5 of a stream of bytes: blocks of 64 bytes change four words of state, in 64 rounds each. RFC 1321.

const BLOCK_BYTES = 64;
/** Bytes of the last block before the length of the message. */
const LENGTH_AT = 56;
const ROUNDS = 64;
/** Bits by which a round rotates: four amounts for each quarter of the rounds. RFC 1321, 3.4 */
const ROTATIONS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
] as const;
const ROTATION = Uint8Array.from({ length: ROUNDS }, (_, at) => ROTATIONS[at >> 4]?.[at % 4] ?? 0);
/** The word of the block that a round takes. */
const WORD = Uint8Array.from(
  { length: ROUNDS },
  (_, at) => ([at, 5 * at + 1, 3 * at + 5, 7 * at][at >> 4] ?? 0) % 16,
);
/** The integer parts of 2^32 times abs(sin(i)), i in radians. */
const SINES = Int32Array.from({ length: ROUNDS }, (_, at) =>
  Math.floor(Math.abs(Math.sin(at + 1)) * 2 ** 32),
);

export class Md5 {
  readonly #state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  readonly #block = new Uint8Array(BLOCK_BYTES);
  readonly #words = new DataView(this.#block.buffer);
  /** Bytes of the message so far. */
  #length = 0;

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const filled = this.#length % BLOCK_BYTES;
      const piece = bytes.subarray(at, at + BLOCK_BYTES - filled);
      this.#block.set(piece, filled);
      this.#length += piece.length;
      at += piece.length;
      if (filled + piece.length === BLOCK_BYTES) this.#transform();
    }
  }

  /** Ends the message. @returns 32 hexadecimal digits */
  digest(): string {
    const bits = BigInt(this.#length) * 8n;
    const filled = this.#length % BLOCK_BYTES;
    const padding = new Uint8Array((filled < LENGTH_AT ? LENGTH_AT : LENGTH_AT + BLOCK_BYTES) - filled);
    padding[0] = 0x80;
    this.update(padding);
    this.#words.setBigUint64(LENGTH_AT, bits, true);
    this.#transform();
    const bytes = new Uint8Array(this.#state.buffer);
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  #transform(): void {
    const state = this.#state;
    let a = (state[0] ?? 0) | 0;
    let b = (state[1] ?? 0) | 0;
    let c = (state[2] ?? 0) | 0;
    let d = (state[3] ?? 0) | 0;
    for (let round = 0; round < ROUNDS; round++) {
      const word = this.#words.getInt32(4 * (WORD[round] ?? 0), true);
      const key = ((SINES[round] ?? 0) + word) | 0;
      const sum = (((a + mix(round, b, c, d)) | 0) + key) | 0;
      const by = ROTATION[round] ?? 0;
      a = d;
      d = c;
      c = b;
      b = (b + ((sum << by) | (sum >>> (32 - by)))) | 0;
    }
    // An element wraps at 2^32, as the sums of RFC 1321 do.
    state.set([(state[0] ?? 0) + a, (state[1] ?? 0) + b, (state[2] ?? 0) + c, (state[3] ?? 0) + d]);
  }
}

/** The functions F, G, H and I of RFC 1321. */
function mix(round: number, b: number, c: number, d: number): number {
  switch (round >> 4) {
    case 0:
      return (b & c) | (~b & d);
    case 1:
      return (d & b) | (~d & c);
    case 2:
      return b ^ c ^ d;
    default:
      return c ^ (b | ~d);
  }
}
