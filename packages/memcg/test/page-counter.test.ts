import * as fc from "fast-check";
import { expect, test } from "vitest";
import { PageCounter } from "../src/page-counter.ts";

function three(): [top: PageCounter, middle: PageCounter, low: PageCounter] {
  const top = new PageCounter(undefined);
  const middle = new PageCounter(top);
  return [top, middle, new PageCounter(middle)];
}

test("a charge is taken at every level or at none, and names the level that refused it", () => {
  const [top, middle, low] = three();
  middle.max = 10;
  expect(low.tryCharge(10)).toBeUndefined();
  expect(low.tryCharge(1)).toBe(middle);
  expect([top.usage, middle.usage, low.usage]).toEqual([10, 10, 10]);
  expect([top.failcnt, middle.failcnt, low.failcnt]).toEqual([0, 1, 0]);
  low.uncharge(4);
  expect([top.usage, top.watermark]).toEqual([6, 10]);
});

test("a limit can't be set below what is in use", () => {
  const [, , low] = three();
  low.charge(5);
  expect([low.setMax(4), low.setMax(5), low.max]).toEqual([false, true, 5]);
});

test("giving back more than was charged is a bug", () => {
  expect(() => three()[2].uncharge(1)).toThrow("page counter");
});

test("a counter knows how much of what is in use below is protected, whatever is charged and set in between", () => {
  const step = fc.record({
    who: fc.nat(2),
    what: fc.constantFrom("charge" as const, "uncharge" as const, "min" as const, "low" as const),
    pages: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const top = new PageCounter(undefined);
      const below = [0, 1, 2].map(() => new PageCounter(top));
      for (const { who, what, pages } of steps) {
        const counter = below[who] as PageCounter;
        if (what === "min") counter.setMin(pages);
        else if (what === "low") counter.setLow(pages);
        else if (what === "charge") counter.charge(pages);
        else counter.uncharge(Math.min(pages, counter.usage));
      }
      const sum = (setting: "min" | "low"): number =>
        below.reduce((total, counter) => total + Math.min(counter.usage, counter[setting]), 0);
      expect([top.childrenMinUsage, top.childrenLowUsage]).toEqual([sum("min"), sum("low")]);
      expect(top.usage).toBe(below.reduce((total, { usage }) => total + usage, 0));
    }),
  );
});
