// MD5 of a stream of bytes: blocks of 64 bytes change four words of state, in 64 rounds each. RFC 1321.

const BLOCK_BYTES = 64;
/** Where the length of the message stands in its last block. */
const LENGTH_AT = 56;
const ROUNDS = 64;
/** Bits by which a round rotates: four amounts for each quarter of the rounds. RFC 1321, 3.4 */
const ROTATIONS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
] as const;
/** The integer parts of 2^32 times abs(sin(i)), i in radians. */
const SINES = Int32Array.from({ length: ROUNDS }, (_, at) =>
  Math.floor(Math.abs(Math.sin(at + 1)) * 2 ** 32),
);
const ROTATION = Uint8Array.from(
  { length: ROUNDS },
  (_, at) => ROTATIONS[Math.floor(at / 16)]?.[at % 4] ?? 0,
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
    let [a = 0, b = 0, c = 0, d = 0] = this.#state;
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = (a + mix(round, b, c, d) + (SINES[round] ?? 0) + this.#word(round)) | 0;
      const by = ROTATION[round] ?? 0;
      [a, d, c, b] = [d, c, b, (b + ((mixed << by) | (mixed >>> (32 - by)))) | 0];
    }
    this.#add(0, a);
    this.#add(1, b);
    this.#add(2, c);
    this.#add(3, d);
  }

  /** The word of the block that a round takes. */
  #word(round: number): number {
    const steps = [round, 5 * round + 1, 3 * round + 5, 7 * round];
    return this.#words.getInt32(4 * ((steps[round >> 4] ?? 0) % 16), true);
  }

  #add(at: number, value: number): void {
    this.#state[at] = ((this.#state[at] ?? 0) + value) | 0;
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
