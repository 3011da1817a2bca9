import { KernelError, KiB, nodeId, PAGE_SIZE, physAddr } from "@hetmem/kernel";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Memblock } from "../src/index.ts";

const at = physAddr;
const N0 = nodeId(0);
const N1 = nodeId(1);

function bounds(regions: readonly { base: number; end: number }[]): [number, number][] {
  return regions.map(({ base, end }) => [base, end]);
}

describe("memory", () => {
  test("neighbours of one node are one region, those of two nodes stay apart", () => {
    const memblock = new Memblock();
    memblock.add(at(0x4000), 0x2000, N0);
    memblock.add(at(0x2000), 0x2000, N0);
    memblock.add(at(0x6000), 0x2000, N1);
    expect(memblock.memory.map(({ base, end, node }) => [base, end, node])).toEqual([
      [0x2000, 0x6000, 0],
      [0x6000, 0x8000, 1],
    ]);
  });

  test("bytes that are there already stay with their node", () => {
    const memblock = new Memblock();
    memblock.add(at(0x4000), 0x1000, N1);
    memblock.add(at(0), 0x8000, N0);
    expect(memblock.memory.map(({ base, end, node }) => [base, end, node])).toEqual([
      [0, 0x4000, 0],
      [0x4000, 0x5000, 1],
      [0x5000, 0x8000, 0],
    ]);
  });

  test("hotpluggable memory doesn't merge with memory that stays", () => {
    const memblock = new Memblock();
    memblock.add(at(0), 0x1000, N0);
    memblock.add(at(0x1000), 0x1000, N0, true);
    expect(memblock.memory).toHaveLength(2);
  });

  test("the first byte of a frame range is rounded up and the last down", () => {
    const memblock = new Memblock();
    memblock.add(at(0x1), 0x9_fbff, N0);
    expect(memblock.pfnRanges()).toEqual([{ start: 1, end: 0x9f, node: 0 }]);
  });

  test("removing from the middle leaves both sides", () => {
    const memblock = new Memblock();
    memblock.add(at(0), 0x8000, N0);
    memblock.remove(at(0x2000), 0x3000);
    expect(bounds(memblock.memory)).toEqual([
      [0, 0x2000],
      [0x5000, 0x8000],
    ]);
  });

  test.each([
    [0, 0],
    [-4096, 4096],
    [2 ** 52, 4096],
  ])("a range of %d bytes from %d is refused", (base, size) => {
    expect(() => new Memblock().add(at(base), size, N0)).toThrow(KernelError);
  });
});

describe("allocation", () => {
  test("comes from the top of the node and is aligned", () => {
    const memblock = new Memblock();
    memblock.add(at(0), 64 * KiB, N0);
    memblock.add(at(64 * KiB), 63 * KiB, N1);
    expect(memblock.allocTopDown(6 * KiB, 4 * KiB, N1)).toBe(120 * KiB);
    expect(memblock.allocTopDown(4 * KiB, 4 * KiB, N1)).toBe(116 * KiB);
    expect(memblock.allocTopDown(4 * KiB, 4 * KiB, N0)).toBe(60 * KiB);
  });

  test("stays below a limit", () => {
    const memblock = new Memblock();
    memblock.add(at(0), 64 * KiB, N0);
    expect(memblock.allocTopDown(4 * KiB, 4 * KiB, undefined, { max: 16 * KiB })).toBe(12 * KiB);
  });

  test("fails with ENOMEM where no hole is large enough, and reserves nothing", () => {
    const memblock = new Memblock();
    memblock.add(at(0), 64 * KiB, N0);
    memblock.reserve(at(32 * KiB), 4 * KiB);
    expect(() => memblock.allocTopDown(40 * KiB, 4 * KiB, N0)).toThrow(/ENOMEM/);
    expect(memblock.reservedSize).toBe(4 * KiB);
  });
});

test("any sequence of adds, removes, reserves and frees gives the pages that a set of them gives", () => {
  const PAGES = 40;
  const range = fc.tuple(fc.integer({ min: 0, max: PAGES - 1 }), fc.integer({ min: 1, max: 12 }));
  const verb = fc.constantFrom("add0", "add1", "remove", "reserve", "free", "alloc");
  fc.assert(
    fc.property(fc.array(fc.tuple(verb, range), { maxLength: 30 }), (steps) => {
      const memblock = new Memblock();
      const node: (number | undefined)[] = [];
      const reserved = new Set<number>();
      for (const [what, [first, count]] of steps) {
        const base = at(first * PAGE_SIZE);
        const size = count * PAGE_SIZE;
        const pages = Array.from({ length: count }, (_, i) => first + i);
        if (what === "add0" || what === "add1") {
          memblock.add(base, size, what === "add0" ? N0 : N1);
          for (const page of pages) node[page] ??= what === "add0" ? 0 : 1;
        } else if (what === "remove") {
          memblock.remove(base, size);
          for (const page of pages) node[page] = undefined;
        } else if (what === "reserve") {
          memblock.reserve(base, size);
          for (const page of pages) reserved.add(page);
        } else if (what === "free") {
          memblock.free(base, size);
          for (const page of pages) reserved.delete(page);
        } else {
          const fits = (start: number): boolean =>
            pages.every(
              (_, i) =>
                node[start + i] !== undefined && node[start + i] === node[start] && !reserved.has(start + i),
            );
          const wanted = Array.from({ length: PAGES + 12 }, (_, i) => i).findLast(fits);
          let got: number | undefined;
          try {
            got = memblock.allocTopDown(size, PAGE_SIZE, undefined) / PAGE_SIZE;
          } catch (error) {
            expect(error).toBeInstanceOf(KernelError);
          }
          expect(got).toBe(wanted);
          if (got !== undefined) for (const [i] of pages.entries()) reserved.add(got + i);
        }
      }
      const expected = Array.from({ length: PAGES + 12 }, (_, page) =>
        reserved.has(page) ? undefined : node[page],
      );
      const actual: (number | undefined)[] = Array.from({ length: PAGES + 12 }, () => undefined);
      for (const free of memblock.freePfnRanges())
        for (let page = free.start as number; page < free.end; page++) actual[page] = free.node;
      expect(actual).toEqual(expected);
      for (const regions of [memblock.memory, memblock.reserved]) {
        for (const [i, region] of regions.entries()) {
          const next = regions[i + 1];
          const apart =
            !next || region.end < next.base || (region.end === next.base && region.node !== next.node);
          expect(apart).toBe(true);
        }
      }
    }),
    { numRuns: 300 },
  );
});
