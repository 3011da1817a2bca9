// The checksum of everything that namespaces leave on the media: labels, index blocks, info blocks, and the cookie of an
// interleave set. Kernel counterpart: nd_fletcher64() in drivers/nvdimm/core.c.

/** @param bytes a multiple of four, as little-endian words */
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

/** Sums a block whose checksum stands within it, and counts as zero. @param at where the eight bytes of the checksum are */
export function blockChecksum(block: Uint8Array, at: number): bigint {
  const copy = block.slice();
  copy.fill(0, at, at + 8);
  return fletcher64(copy);
}
