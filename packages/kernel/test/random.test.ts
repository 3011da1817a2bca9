import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../src/index.ts";

const draw = (seed: number, count: number): number[] => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.nextUint32());
};

describe("random numbers", () => {
  test("are the same for the same seed, for ever", () => {
    expect(draw(1, 3)).toEqual([3_359_835_970, 1_182_520_828, 4_267_878_529]);
    expect(draw(1, 50)).toEqual(draw(1, 50));
    expect(draw(1, 50)).not.toEqual(draw(2, 50));
  });

  test("lie below their bound, and come near every value", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 20 }), (seed, bound) => {
        const random = new Random(seed);
        const drawn = new Set(Array.from({ length: 40 * bound }, () => random.below(bound)));
        expect([...drawn].every((value) => Number.isInteger(value) && value >= 0 && value < bound)).toBe(
          true,
        );
        expect(drawn.size).toBe(bound);
      }),
      { seed: 1 },
    );
  });

  test("chance is certain at both ends, and a pick is one of the items", () => {
    const random = new Random(9);
    for (let i = 0; i < 100; i++) {
      expect([random.chance(0, 10), random.chance(10, 10)]).toEqual([false, true]);
      expect(["a", "b"]).toContain(random.pick(["a", "b"]));
    }
  });
});
