// Our reclaim meets every obligation, and so do those that call it, as in docs/ports/reclaim.md; each broken one is found by the obligation that it breaks.
import type { Vm } from "@hetmem/mm";
import { Reclaim } from "@hetmem/reclaim";
import { expect, test } from "vitest";
import { CountingReclaim } from "../examples/counting-reclaim.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { reclaimKit } from "../src/reclaim/index.ts";
import { BROKEN, reclaimWith } from "./broken-reclaim.ts";

test.each([
  { name: "Reclaim", create: (vm: Vm) => new Reclaim(vm) },
  { name: "CountingReclaim", create: (vm: Vm) => new CountingReclaim(vm) },
  reclaimWith("a reclaim that calls ours", () => ({})),
])("$name meets every obligation", (reclaim) => {
  const report = checkConformance(reclaimKit, reclaim, { seeds: 2 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each(BROKEN)("a reclaim that breaks '%s' is found out, and of nothing else", (name, reclaim) => {
  const report = checkConformance(reclaimKit, reclaim, { seeds: 1 });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has a reclaim that breaks it", () => {
  expect(BROKEN.map(([name]) => name)).toEqual(reclaimKit.obligations.map(({ name }) => name));
});
