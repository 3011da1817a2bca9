import { expect, test } from "vitest";
import { PressureGroup } from "../src/index.ts";

const MS = 1_000_000;
const SECOND = 1000 * MS;

test("a group waits as long as one of its tasks does, and time in which two wait counts once", () => {
  const group = new PressureGroup(0);
  group.enter(MS);
  group.enter(3 * MS);
  group.leave(7 * MS);
  group.leave(12 * MS);
  expect(group.stalledNs(20 * MS)).toBe(11 * MS);
  expect(group.show(20 * MS)).toMatch(/^some avg10=0.00 .* total=11000\nfull .* total=11000\n$/);
});

test("a group that never waited shows zeros", () => {
  const zeros = "avg10=0.00 avg60=0.00 avg300=0.00 total=0";
  expect(new PressureGroup(0).show(10 * SECOND)).toBe(`some ${zeros}\nfull ${zeros}\n`);
});

test("who goes on without having waited is a bug", () => {
  expect(() => new PressureGroup(0).leave(0)).toThrow("didn't wait");
});

test("averages rise with periods of waiting and fall by their own time afterwards", () => {
  const group = new PressureGroup(0);
  const ten = (nowNs: number): number => Number(/avg10=([\d.]+)/.exec(group.show(nowNs))?.[1]);
  group.enter(0);
  const rising = [2, 4, 6, 8, 10].map((seconds) => ten(seconds * SECOND));
  group.leave(10 * SECOND);
  expect(rising).toEqual(rising.toSorted((a, b) => a - b));
  // What a load average of one reaches after its own time: 1 - 1/e.
  expect(rising.at(-1)).toBeGreaterThan(62);
  expect(rising.at(-1)).toBeLessThan(65);
  expect(ten(20 * SECOND)).toBeCloseTo((rising.at(-1) ?? 0) / Math.E, 0);
});

test("who waits all the time has waited for all of it in the end, and not for 99.99 of 100", () => {
  const group = new PressureGroup(0);
  group.enter(0);
  expect(group.show(3600 * SECOND)).toContain(
    "some avg10=100.00 avg60=100.00 avg300=100.00 total=3600000000\n",
  );
});

test("waiting for a part of each period is that part of the average in the end", () => {
  const group = new PressureGroup(0);
  for (let second = 0; second < 200; second += 2) {
    group.enter(second * SECOND);
    group.leave((second + 0.5) * SECOND);
  }
  expect(group.show(200 * SECOND)).toMatch(/^some avg10=2[45]\.\d\d .* total=50000000\n/);
});

test("looking often changes nothing, and a year without a wait is no work", () => {
  const [seldom, often] = [new PressureGroup(0), new PressureGroup(0)];
  for (const group of [seldom, often]) {
    group.enter(SECOND);
    group.leave(5 * SECOND);
  }
  for (let ms = 5000; ms < 30_000; ms += 100) often.show(ms * MS);
  expect(often.show(30 * SECOND)).toBe(seldom.show(30 * SECOND));
  expect(seldom.show(365 * 86_400 * SECOND)).toContain("avg300=0.00 total=4000000");
});
