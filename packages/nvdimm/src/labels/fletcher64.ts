// The checksum of labels, index blocks and info blocks, also used for interleave-set cookies. Kernel counterpart:
// nd_fletcher64() in drivers/nvdimm/core.c.

/** The Fletcher-64 checksum of little-endian 32-bit words. @param bytes length a multiple of 4 */
export function fletcher64(bytes: Uint8Array): bigint {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let low = 0;
  let high = 0;
  for (let at = 0; at + 4 <= bytes.byteLength; at += 4) {
    low = (low + words.getUint32(at, true)) >>> 0;
    high = (high + low) >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}

/**
 * The checksum of a block that contains its own checksum, which is taken as zero.
 *
 * @param at offset of the 8 checksum bytes
 */
export function blockChecksum(block: Uint8Array, at: number): bigint {
  const copy = block.slice();
  copy.fill(0, at, at + 8);
  return fletcher64(copy);
}
