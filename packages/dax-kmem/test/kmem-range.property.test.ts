// The arithmetic of what can become RAM.
import { rangeSize } from "@hetmem/dax";
import { MiB, physAddr } from "@hetmem/kernel";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { kmemRanges } from "../src/index.ts";
import { withoutBadBlocks } from "../src/kmem-range.ts";

const BLOCK = 128 * MiB;
const UNIT = 2 * MiB;

/** Ranges in units, apart from each other. */
const ranges = fc
  .uniqueArray(fc.nat(2000), { minLength: 2, maxLength: 8 })
  .map((points) => points.toSorted((a, b) => a - b))
  .map((points) =>
    points.flatMap((point, i) =>
      i % 2 === 0 && points[i + 1] !== undefined
        ? [{ start: physAddr(point * UNIT), end: physAddr((points[i + 1] as number) * UNIT - 1) }]
        : [],
    ),
  );

test("what is usable are whole blocks inside of the device, and nothing usable is lost", () => {
  fc.assert(
    fc.property(ranges, (parts) => {
      const device = { ranges: parts.map((part) => ({ ...part, pgoff: 0, mapping: 0 })) };
      const { usable, tooSmall, trimmedBytes } = kmemRanges(device, BLOCK);
      for (const { mapping, start, end } of usable) {
        expect([start % BLOCK, (end + 1) % BLOCK]).toEqual([0, 0]);
        const whole = parts[mapping];
        if (!whole) throw new Error("a range of nothing");
        expect(start - whole.start).toBeLessThan(BLOCK);
        expect(whole.end - end).toBeLessThan(BLOCK);
      }
      expect(usable.length + tooSmall.length).toBe(parts.length);
      const sum = (all: readonly { start: number; end: number }[]): number =>
        all.reduce((bytes, range) => bytes + rangeSize(range), 0);
      expect(sum(usable) + trimmedBytes).toBe(sum(parts));
    }),
  );
});

test("a block is left out exactly when it holds bad memory", () => {
  const range = { mapping: 0, start: physAddr(8 * BLOCK), end: physAddr(16 * BLOCK - 1) };
  fc.assert(
    fc.property(ranges, (bad) => {
      const left = withoutBadBlocks(range, bad, BLOCK);
      for (let block = 8; block < 16; block++) {
        const [first, last] = [block * BLOCK, (block + 1) * BLOCK - 1];
        const isBad = bad.some(({ start, end }) => start <= last && end >= first);
        const covering = left.filter(({ start, end }) => start <= first && end >= last);
        expect([block, covering.length]).toEqual([block, isBad ? 0 : 1]);
      }
    }),
  );
});
