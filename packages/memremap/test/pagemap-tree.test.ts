// The lookup of pagemaps by frame: entries of many orders, exact at both ends of a range, and gone without a trace.
import { KernelBug, type Pfn } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PagemapTree } from "../src/index.ts";

const RUNS = Number(process.env["HETMEM_RUNS"] ?? 200);
const frame = (value: number): Pfn => value as Pfn;

describe("the tree of pagemaps", () => {
  test("usually needs one entry for a mapping", () => {
    const tree = new PagemapTree(46);
    expect(tree.store(frame(0x100000), 32_768, 1)).toBe(1);
    expect(tree.store(frame(0x4000000), 2 ** 26, 2)).toBe(1);
    expect(tree.store(frame(512), 512, 3)).toBe(1);
  });

  test("needs a few for a range that isn't aligned to its size, and not one a section", () => {
    expect(new PagemapTree(46).store(frame(0x37c000), 0x4bc000, 1)).toBeLessThan(12);
  });

  test("has no false hit beside an unaligned range", () => {
    const tree = new PagemapTree(46);
    tree.store(frame(0x37c200), 0x4e00, 7);
    expect([0x37c000, 0x37c1ff, 0x37c200, 0x380fff, 0x381000].map((at) => tree.load(frame(at)))).toEqual([
      0, 0, 7, 7, 0,
    ]);
  });

  test("finds frames past 2^31, where unaddressable memory lies", () => {
    const tree = new PagemapTree(52);
    tree.store(frame(2 ** 40 - 32_768), 32_768, 5);
    expect(tree.load(frame(2 ** 40 - 1))).toBe(5);
    expect(tree.load(frame(2 ** 40 - 32_769))).toBe(0);
    expect(tree.load(frame(2 ** 40 - 1 - 2 ** 32))).toBe(0);
  });

  test("answers none past the end of the physical space", () => {
    const tree = new PagemapTree(36);
    expect(tree.load(frame(2 ** 30))).toBe(0);
    expect(() => tree.store(frame(2 ** 30), 512, 1)).toThrow(KernelBug);
  });

  test("refuses a range that somebody has a part of, and enters nothing of it", () => {
    const tree = new PagemapTree(46);
    tree.store(frame(0x100200), 512, 1);
    expect(() => tree.store(frame(0x100000), 0x1000, 2)).toThrow(KernelBug);
    expect(tree.find(frame(0x100000), 0x200)).toBe(0);
    expect(tree.load(frame(0x100200))).toBe(1);
  });

  test("finds a small mapping in a large range, and a large one around a small range", () => {
    const tree = new PagemapTree(46);
    tree.store(frame(0x100200), 512, 1);
    tree.store(frame(0x8000000), 2 ** 26, 2);
    expect(tree.find(frame(0), 2 ** 26)).toBe(1);
    expect(tree.find(frame(0x8000123), 1)).toBe(2);
    expect(tree.find(frame(0x100400), 0x100000)).toBe(0);
  });

  test("is empty again when all ranges are erased", () => {
    const tree = new PagemapTree(46);
    tree.store(frame(0x37c200), 0x4e00, 7);
    tree.store(frame(2 ** 30), 2 ** 27, 8);
    expect(tree.empty).toBe(false);
    tree.erase(frame(0x37c200), 0x4e00);
    tree.erase(frame(2 ** 30), 2 ** 27);
    expect(tree.empty).toBe(true);
  });

  test("says what a list of ranges would, whatever is entered and erased", () => {
    const range = fc.record({
      start: fc.nat(2 ** 20),
      frames: fc.integer({ min: 1, max: 2 ** 16 }),
      scale: fc.constantFrom(1, 512, 2 ** 14),
    });
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 30 }),
        fc.array(fc.nat(2 ** 34), { maxLength: 20 }),
        (ranges, probes) => {
          const tree = new PagemapTree(46 + 2);
          const entered: { start: number; end: number; id: number }[] = [];
          for (const [i, { start: at, frames, scale }] of ranges.entries()) {
            const start = at * scale;
            const end = start + frames;
            const overlap = entered.some((other) => start < other.end && end > other.start);
            expect(tree.find(frame(start), frames) !== 0).toBe(overlap);
            if (!overlap) {
              tree.store(frame(start), frames, i + 1);
              entered.push({ start, end, id: i + 1 });
            }
            if (i % 3 === 2) {
              const gone = entered.shift();
              if (gone) tree.erase(frame(gone.start), gone.end - gone.start);
            }
          }
          const edges = entered
            .flatMap(({ start, end }) => [start - 1, start, end - 1, end])
            .filter((at) => at >= 0);
          for (const at of [...edges, ...probes])
            expect(tree.load(frame(at))).toBe(
              entered.find(({ start, end }) => at >= start && at < end)?.id ?? 0,
            );
          for (const { start, end } of entered) tree.erase(frame(start), end - start);
          expect(tree.empty).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
  });
});
