// What min and low protect in a hierarchy: the cases of the model that the kernel keeps beside its selftest
// (memcg_protection.m), and those that the text of cgroup-v2.rst explains.
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { effectiveProtection, type UnclaimedProtection } from "../src/limits/protection.ts";

interface Sibling {
  readonly usage: number;
  readonly setting: number;
}

/** The protection that each sibling gets of its parent's. */
function granted(
  siblings: readonly Sibling[],
  parentEffective: number,
  unclaimed: UnclaimedProtection,
): number[] {
  const parentUsage = siblings.reduce((sum, { usage }) => sum + usage, 0);
  const siblingsProtected = siblings.reduce((sum, { usage, setting }) => sum + Math.min(usage, setting), 0);
  return siblings.map((own) =>
    effectiveProtection({ ...own, parentUsage, parentEffective, siblingsProtected }, unclaimed),
  );
}

test("of a claim that the parent can't grant, each gets a part by what it claims and uses", () => {
  const siblings = [
    { usage: 50, setting: 75 },
    { usage: 50, setting: 25 },
    { usage: 50, setting: 0 },
    { usage: 0, setting: 500 },
  ];
  expect(granted(siblings, 50, "lost")).toEqual([33, 16, 0, 0]);
});

test("what is claimed and granted is protected as far as it is used", () => {
  expect(granted([{ usage: 30, setting: 40 }], 100, "lost")).toEqual([30]);
  expect(granted([{ usage: 50, setting: 40 }], 100, "lost")).toEqual([40]);
});

test("what nobody claims is lost, or shared by those who use more than they claim", () => {
  const siblings = [
    { usage: 60, setting: 20 },
    { usage: 40, setting: 0 },
  ];
  expect(granted(siblings, 60, "lost")).toEqual([20, 0]);
  expect(granted(siblings, 60, "shared")).toEqual([40, 20]);
});

test("no more is protected than is used, nor than the parent has been granted and uses", () => {
  const sibling = fc.record({ usage: fc.nat(1_000_000), setting: fc.nat(1_000_000) });
  fc.assert(
    fc.property(
      fc.array(sibling, { minLength: 1, maxLength: 6 }),
      fc.nat(3_000_000),
      fc.constantFrom<UnclaimedProtection>("lost", "shared"),
      (siblings, parent, unclaimed) => {
        // A parent is granted no more than it uses.
        const usage = siblings.reduce((sum, own) => sum + own.usage, 0);
        const grants = granted(siblings, Math.min(parent, usage), unclaimed);
        for (const [i, grant] of grants.entries()) expect(grant).toBeLessThanOrEqual(siblings[i]?.usage ?? 0);
        expect(grants.reduce((sum, grant) => sum + grant, 0)).toBeLessThanOrEqual(parent);
      },
    ),
  );
});
