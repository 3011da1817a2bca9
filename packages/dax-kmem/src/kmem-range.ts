// Which part of a device can become RAM: memory goes on- and offline in whole blocks, so that both ends of each range are
// trimmed, and blocks with bad memory that nobody can clear are left out. Kernel counterpart: dax_kmem_range() in
// drivers/dax/kmem.c; the kernel leaves bad blocks to the administrator.
import { alignDown, alignUp, type PhysAddr, physAddr } from "@hetmem/kernel";
import { type DevDax, rangeSize } from "@hetmem/dax";

/** A part of a device, both ends included. */
export interface KmemRange {
  /** Number of the device's range that it is a part of. */
  readonly mapping: number;
  readonly start: PhysAddr;
  readonly end: PhysAddr;
}

/** What becomes RAM of a device, and how much of it can't. */
export interface KmemRanges {
  readonly usable: readonly KmemRange[];
  /** Ranges of which no block is left. */
  readonly tooSmall: readonly KmemRange[];
  /** Bytes that are not a part of a whole block, those of `tooSmall` among them. */
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

/** A range without the blocks that hold bad memory: what is left, ascending. */
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
