// The online policies of zone, and the one of docs/ports/online-policy.md, meet every obligation; each broken one is found by the
// obligation that it breaks.
import { autoMovable, contigZones } from "@hetmem/zone";
import { expect, test } from "vitest";
import { shareOfNode } from "../examples/movable-share.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { onlinePolicyKit } from "../src/online-policy/index.ts";
import { BROKEN } from "./broken-online-policies.ts";

/** Few: a trial boots a machine and looks at several states of it. Three seeds have all boot options. */
const SEEDS = 3;

test.each([contigZones, autoMovable, shareOfNode])("$name meets every obligation", (policy) => {
  const report = checkConformance(onlinePolicyKit, policy, { seeds: SEEDS });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each(BROKEN)("a policy that breaks '%s' is found out, and of nothing else", (name, policy) => {
  const [found] = checkConformance(onlinePolicyKit, policy, { seeds: SEEDS, only: [name] }).obligations;
  const firstSeed = found?.failure?.seed;
  if (firstSeed === undefined) return expect.unreachable(`${policy.name} conforms`);
  const others = onlinePolicyKit.obligations.map((each) => each.name).filter((each) => each !== name);
  const report = checkConformance(onlinePolicyKit, policy, { seeds: 1, firstSeed, only: others });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test("every obligation has a policy that breaks it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(
    new Set(onlinePolicyKit.obligations.map(({ name }) => name)),
  );
});
