// The part of a device that can become RAM. Memory is onlined in whole blocks, so both ends of each range are trimmed
// to block boundaries, and blocks with bad memory that can't be cleared are left out. Kernel counterpart:
// dax_kmem_range() in drivers/dax/kmem.c; the kernel leaves bad blocks to the administrator.
import { alignDown, alignUp, type PhysAddr, physAddr } from "@hetmem/kernel";
import { type DevDax, rangeSize } from "@hetmem/dax";

/** A part of one range of a device; `end` is its last byte. */
export interface KmemRange {
  /** Index of the range of the device that the part belongs to. */
  readonly mapping: number;
  readonly start: PhysAddr;
  readonly end: PhysAddr;
}

/** The parts of a device that can become RAM, and the rest. */
export interface KmemRanges {
  readonly usable: readonly KmemRange[];
  /** Ranges without a whole block. */
  readonly tooSmall: readonly KmemRange[];
  /** Bytes outside of whole blocks, including those of `tooSmall`. */
  readonly trimmedBytes: number;
}

/**
 * Trims the ranges of a device to whole memory blocks.
 *
 * @param blockSize bytes
 * @see dax_kmem_range()
 */
export function kmemRanges({ ranges }: Pick<DevDax, "ranges">, blockSize: number): KmemRanges {
  const usable: KmemRange[] = [];
  const tooSmall: KmemRange[] = [];
  let trimmedBytes = 0;
  ranges.forEach((range, mapping) => {
    const start = physAddr(alignUp(range.start, blockSize));
    const end = physAddr(alignDown(range.end + 1, blockSize) - 1);
    if (start >= end) {
      tooSmall.push({ mapping, start: range.start, end: range.end });
      trimmedBytes += rangeSize(range);
      return;
    }
    usable.push({ mapping, start, end });
    trimmedBytes += rangeSize(range) - rangeSize({ start, end });
  });
  return { usable, tooSmall, trimmedBytes };
}

/** The parts of a range that remain without the blocks that contain bad memory, in ascending order. */
export function withoutBadBlocks(
  { mapping, start, end }: KmemRange,
  bad: Iterable<{ readonly start: number; readonly end: number }>,
  blockSize: number,
): KmemRange[] {
  const left: KmemRange[] = [];
  let at: number = start;
  const ascending = [...bad].sort((a, b) => a.start - b.start);
  for (const { start: first, end: last } of ascending) {
    const blockStart = Math.max(at, alignDown(first, blockSize));
    if (blockStart > at) left.push({ mapping, start: physAddr(at), end: physAddr(blockStart - 1) });
    at = Math.max(at, alignDown(last, blockSize) + blockSize);
  }
  if (at <= end) left.push({ mapping, start: physAddr(at), end });
  return left;
}
