// The driver of docs/ports/dax-driver.md meets every obligation, and each broken one is found by the obligation that it breaks.
import { expect, test } from "vitest";
import { TinyKmem } from "../examples/tiny-kmem.ts";
import { daxDriverKit, type DaxDriverUnderTest } from "../src/dax-driver/index.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { BROKEN } from "./broken-dax-drivers.ts";

test("the driver of the page meets every obligation", () => {
  const report = checkConformance(daxDriverKit, tinyKmem(), { seeds: 10 });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

/** The trials of these depend on the seed: seven kinds of devices that are refused, and a race. */
const SEEDED = ["refuses a device with an errno", "changes nothing when it refuses", "holds beside hotplug"];
const FIXED = daxDriverKit.obligations.map(({ name }) => name).filter((name) => !SEEDED.includes(name));

test.each(BROKEN)("a driver that breaks '%s' is found out, and of nothing else: %o", (name, Driver) => {
  const reports = [
    checkConformance(daxDriverKit, tinyKmem(Driver), { seeds: 7, only: SEEDED }),
    checkConformance(daxDriverKit, tinyKmem(Driver), { seeds: 1, only: FIXED }),
  ];
  const failed = reports.flatMap(({ obligations }) => obligations.filter(({ failure }) => failure));
  expect(
    failed.map((each) => each.name),
    reports.map(formatConformance).join("\n"),
  ).toEqual([name]);
});

test("every obligation has a driver that breaks it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(
    new Set(daxDriverKit.obligations.map(({ name }) => name)),
  );
});

function tinyKmem(Driver: typeof TinyKmem = TinyKmem): DaxDriverUnderTest {
  return { name: Driver.name, create: ({ pagemaps }) => new Driver(pagemaps.hotplug) };
}
