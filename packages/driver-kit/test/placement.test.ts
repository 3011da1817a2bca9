// The placements of zone, and the one of docs/ports/placement.md, meet every obligation; each broken one is found by the
// obligation that it breaks.
import {
  anyOrderPlacement,
  autoMovable,
  OnlinePolicies,
  onlinePolicyPlacement,
  strictPlacement,
} from "@hetmem/zone";
import { expect, test } from "vitest";
import { movableWithoutCpus } from "../examples/movable-without-cpus.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { placementKit, type PlacementUnderTest } from "../src/placement/index.ts";
import { BROKEN } from "./broken-placements.ts";

/** Few: a trial boots a machine and looks at several states of it. Three seeds have all boot options. */
const SEEDS = 3;

const OURS: readonly PlacementUnderTest[] = [
  ...[strictPlacement, anyOrderPlacement, movableWithoutCpus].map((placement) => ({
    name: placement.name,
    placement: () => placement,
  })),
  {
    name: "online-policy",
    placement: (groups) => onlinePolicyPlacement(new OnlinePolicies([autoMovable]), groups),
  },
];

test.each(OURS)("$name meets every obligation", (placement) => {
  const report = checkConformance(placementKit, placement, { seeds: SEEDS });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each(BROKEN)("a placement that breaks '%s' is found out, and of nothing else", (name, placement) => {
  const [found] = checkConformance(placementKit, placement, { seeds: SEEDS, only: [name] }).obligations;
  const firstSeed = found?.failure?.seed;
  if (firstSeed === undefined) return expect.unreachable(`${placement.name} conforms`);
  const others = placementKit.obligations.map((each) => each.name).filter((each) => each !== name);
  const report = checkConformance(placementKit, placement, { seeds: 1, firstSeed, only: others });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test("every obligation has a placement that breaks it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(
    new Set(placementKit.obligations.map(({ name }) => name)),
  );
});
