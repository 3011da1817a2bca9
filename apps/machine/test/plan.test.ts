// `hetmem plan`: the figures are those of the machine once the change is made on it.
import { expect, test } from "vitest";
import { BUNDLED_CAPTURES } from "../src/host/bundled.ts";
import { captureHost } from "../src/host/capture.ts";
import { openTree } from "../src/host/tree.ts";
import { createMachine } from "../src/machine.ts";
import { planLines } from "../src/plan/plan-report.ts";
import { planSystemRam } from "../src/plan/plan.ts";
import type { ProfileName } from "../src/spec/machine-spec.ts";

const MIB = 2 ** 20;

function planOf(zone: "movable" | "kernel", profile: ProfileName = "v6.1") {
  const { spec } = captureHost(openTree(BUNDLED_CAPTURES.nvdimm), profile);
  return planSystemRam(createMachine(spec), { device: "namespace0.0", zone });
}

test("a plan has the zones, nodes, tiers and struct pages that the captured host came to have", () => {
  const plan = planOf("movable");
  expect(plan).toMatchObject({
    device: "dax0.0",
    node: 2,
    size: 1006 * MIB,
    added: 896 * MIB,
    trimmed: 110 * MIB,
    zones: [
      { node: 2, zone: "Movable", before: { present: 0 }, after: { present: 896 * MIB, managed: 896 * MIB } },
    ],
    structPages: { bytes: 14 * MIB },
    distances: [
      { node: 0, distance: 40 },
      { node: 1, distance: 41 },
      { node: 2, distance: 10 },
    ],
    tiers: [
      { tier: 4, nodes: [0, 1] },
      { tier: 22, nodes: [2] },
    ],
  });
  expect(plan.blocks.map(({ block }) => block)).toEqual([33, 34, 35, 36, 37, 38, 39]);
  expect(plan.blocks.every(({ canGoOffline }) => canGoOffline)).toBe(true);
  expect(plan.ratio.advice).toContain("safe");
});

test("what the kernel may use is not promised to go offline, and the plan says why", () => {
  const plan = planOf("kernel");
  expect(plan.zones[0]).toMatchObject({ node: 2, zone: "Normal" });
  expect(plan.blocks[0]).toMatchObject({ canGoOffline: false, zone: "Normal" });
  expect(plan.blocks[0]?.why).toContain("nothing can move");
});

test("a plan warns of what is lost, wasted, kept at rest, and can't be undone", () => {
  const { warnings } = planOf("movable", "v5.1");
  expect(warnings.join("\n")).toMatch(
    /is lost(.|\n)*110 MiB of the device are wasted(.|\n)*stays until the next boot(.|\n)*mlock/,
  );
});

test("a release without kmem and a device that isn't there are refused with a sentence", () => {
  expect(() => planOf("movable", "v4.14")).toThrow(/this release can't make RAM of a dax device/);
  const { spec } = captureHost(openTree(BUNDLED_CAPTURES.nvdimm), "v6.1");
  expect(() => planSystemRam(createMachine(spec), { device: "dax7.0", zone: "movable" })).toThrow(
    /there is no dax7\.0 on this machine: name one of namespace0\.0/,
  );
});

test("a person reads one paragraph a subject", () => {
  const text = planLines(planOf("movable"), "a host").join("\n");
  expect(text).toMatch(
    /^dax0\.0 of a host: 896 MiB of its 1006 MiB become RAM of node 2, online as movable memory\./,
  );
  expect(text).toMatch(/memory33 to memory39 \(from 0x1_0800_0000, Movable\) can: /);
});
