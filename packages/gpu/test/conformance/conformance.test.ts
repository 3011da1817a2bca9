// The reference device and the driver of the README owe the kernel nothing.
import { rivalsPlan } from "@hetmem/explore";
import { expect, test } from "vitest";
import { checkConformance, conforms, formatConformance, OBLIGATIONS } from "../../src/conformance/index.ts";
import { TinyGpu } from "../../examples/tiny-gpu.ts";
import { BROKEN } from "./broken-drivers.ts";
import { referenceDriver, tinyDriver } from "./drivers.ts";

/** HETMEM_SCHEDULES counts schedules of a path; here each driver has ten obligations to be tried. */
const { schedules, first = 0 } = rivalsPlan(process.env, 40);

test.each([referenceDriver("private"), referenceDriver("coherent"), tinyDriver()])(
  "$name meets every obligation",
  { timeout: 36_000_000 },
  (driver) => {
    const report = checkConformance(driver, { schedules, firstSeed: first });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);

/** Three times as many as the rarest of them needs. */
const BROKEN_SCHEDULES = 30;

test.each(BROKEN)("a driver that breaks '%s' is found out, and of nothing else: %o", (name, Driver) => {
  const report = checkConformance(tinyDriver(Driver), { schedules: BROKEN_SCHEDULES });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has a driver that breaks it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(new Set(OBLIGATIONS.map(({ name }) => name)));
});

test("what is found is printed with its seed, and that seed alone finds it again", () => {
  const [[name, Driver] = ["", TinyGpu]] = BROKEN;
  const obligations = OBLIGATIONS.filter((obligation) => obligation.name === name);
  const report = checkConformance(tinyDriver(Driver), { schedules: BROKEN_SCHEDULES, obligations });
  const failure = report.obligations[0]?.failure;
  expect(formatConformance(report)).toContain(`seed ${failure?.seed}: ${failure?.reason}`);
  const again = checkConformance(tinyDriver(Driver), {
    schedules: 1,
    firstSeed: failure?.seed ?? 0,
    obligations,
  });
  expect(again.obligations[0]?.failure).toEqual(failure);
});
