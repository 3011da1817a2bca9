// Tables of bad sectors, and sets of ranges.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Badblocks, RangeSet } from "../src/index.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 200);

test("the table of bad blocks splits long runs, and refuses more than it has room for", () => {
  const badblocks = new Badblocks();
  expect(badblocks.set(10, 1200)).toBe(true);
  expect(badblocks.show()).toBe("10 512\n522 512\n1034 176\n");
  for (let i = 0; i < 600; i++) badblocks.set(10_000 + 2 * i, 1);
  expect(badblocks.count).toBe(512);
  expect(badblocks.check(10_000 + 2 * 599, 1)).toBeUndefined();
});

test("a set of ranges is a set of addresses", () => {
  const range = fc.record({ adds: fc.boolean(), start: fc.nat(60), size: fc.nat(12) });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 25 }), (steps) => {
      const ranges = new RangeSet();
      const model = new Set<number>();
      for (const { adds, start, size } of steps) {
        if (adds) ranges.add(start, start + size);
        else ranges.remove(start, start + size);
        for (let at = start; at < start + size; at++) {
          if (adds) model.add(at);
          else model.delete(at);
        }
        const members = ranges.ranges.flatMap((one) =>
          Array.from({ length: one.end - one.start }, (_none, i) => one.start + i),
        );
        expect(members).toEqual([...model].sort((one, other) => one - other));
        expect(ranges.ranges.every((one, i) => one.start > (ranges.ranges[i - 1]?.end ?? -1))).toBe(true);
      }
    }),
    { numRuns: RUNS },
  );
});
