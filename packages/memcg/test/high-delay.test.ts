// The table in mm/memcontrol.c says how long an allocation of a batch takes above a mark of 100 MiB.
import { MiB } from "@hetmem/kernel";
import { expect, test } from "vitest";
import { highDelay, HZ, MAX_HIGH_DELAY_JIFFIES, overage } from "../src/limits/high-delay.ts";
import { PageCounter } from "../src/page-counter.ts";
import { CHARGE_BATCH } from "../src/stock.ts";

const PAGES_PER_MIB = MiB / 4096;
const JIFFY_MS = 1000 / HZ;

/** A counter with a high mark of 100 MiB, and so many MiB in use. */
function counterWith(mebibytes: number): PageCounter {
  const counter = new PageCounter(undefined);
  counter.high = 100 * PAGES_PER_MIB;
  counter.charge(mebibytes * PAGES_PER_MIB);
  return counter;
}

function delayMs(mebibytes: number): number {
  return (
    Math.min(highDelay(overage(counterWith(mebibytes)), CHARGE_BATCH), MAX_HIGH_DELAY_JIFFIES) * JIFFY_MS
  );
}

test.each([
  [100, 0],
  [101, 6],
  [102, 25],
  [105, 159],
  [110, 639],
  [115, 1439],
  [117, 1849],
  [118, 2000],
  [120, 2000],
])("at %i MiB of 100 a batch takes %i ms, to a tick of the clock", (mebibytes, ms) => {
  expect(delayMs(mebibytes)).toBeLessThanOrEqual(ms);
  expect(delayMs(mebibytes)).toBeGreaterThan(ms - JIFFY_MS);
});

test("four small allocations are slowed down about as much as one that is four times as large", () => {
  const over = overage(counterWith(110));
  expect(4 * highDelay(over, CHARGE_BATCH / 4)).toBeCloseTo(highDelay(over, CHARGE_BATCH), -1);
});

test("a high mark of nothing is one of a page", () => {
  const counter = new PageCounter(undefined);
  counter.high = 0;
  counter.charge(1);
  expect(overage(counter)).toBe(2 ** 20);
});
