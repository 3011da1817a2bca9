// The driver of the README, with an answer to bad memory, meets every obligation of pagemap ops, and each broken one is found by the
// obligation that it breaks.
import { expect, test } from "vitest";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { pagemapOpsKit } from "../src/pagemap-ops/index.ts";
import { BROKEN, retiringGpu } from "./retiring-gpu.ts";

/** Only the race of two processes depends on the seed. */
const SEEDS = 20;

test("a driver that retires bad pages meets every obligation", () => {
  const report = checkConformance(pagemapOpsKit, retiringGpu(), { seeds: SEEDS });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each(BROKEN)("ops that break '%s' are found out, and of nothing else: %o", (name, Driver) => {
  const report = checkConformance(pagemapOpsKit, retiringGpu(Driver), { seeds: SEEDS });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has ops that break it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(
    new Set(pagemapOpsKit.obligations.map(({ name }) => name)),
  );
});
