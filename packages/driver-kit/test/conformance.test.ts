// The driver of the README meets every obligation, and each of its broken versions is found by the obligation that it breaks.
import { rivalsPlan } from "@hetmem/explore";
import { expect, test } from "vitest";
import { TinyGpu } from "../examples/tiny-gpu.ts";
import { hmmDriverKit } from "../src/hmm-driver/index.ts";
import { checkConformance, conforms, formatConformance } from "../src/index.ts";
import { BROKEN } from "./broken-drivers.ts";
import { tinyDriver } from "./tiny-driver.ts";

/** HETMEM_SCHEDULES counts schedules of a path; here a driver has ten obligations to be tried. */
const { schedules, first = 0 } = rivalsPlan(process.env, 40);

test("the driver of the README meets every obligation", { timeout: 36_000_000 }, () => {
  const report = checkConformance(hmmDriverKit, tinyDriver(), { seeds: schedules, firstSeed: first });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

/** Three times as many as the rarest breach needs. */
const BROKEN_SCHEDULES = 30;

test.each(BROKEN)("a driver that breaks '%s' is found out, and of nothing else: %o", (name, Driver) => {
  const report = checkConformance(hmmDriverKit, tinyDriver(Driver), { seeds: BROKEN_SCHEDULES });
  const failed = report.obligations.filter(({ failure }) => failure !== undefined);
  expect(
    failed.map((each) => each.name),
    formatConformance(report),
  ).toEqual([name]);
});

test("every obligation has a driver that breaks it", () => {
  expect(new Set(BROKEN.map(([name]) => name))).toEqual(
    new Set(hmmDriverKit.obligations.map(({ name }) => name)),
  );
});

test("what is found is printed with its seed, and that seed alone finds it again", () => {
  const [[name, Driver] = ["", TinyGpu]] = BROKEN;
  const report = checkConformance(hmmDriverKit, tinyDriver(Driver), {
    seeds: BROKEN_SCHEDULES,
    only: [name],
  });
  const failure = report.obligations[0]?.failure;
  expect(formatConformance(report)).toContain(`seed ${failure?.seed}: ${failure?.reason}`);
  const again = checkConformance(hmmDriverKit, tinyDriver(Driver), {
    seeds: 1,
    firstSeed: failure?.seed ?? 0,
    only: [name],
  });
  expect(again.obligations[0]?.failure).toEqual(failure);
});

test("an obligation that the kit lacks is refused with those that it has", () => {
  expect(() => checkConformance(hmmDriverKit, tinyDriver(), { only: ["is fast"] })).toThrow(
    'the kit of HMM driver has no obligation "is fast": it has invalidates before it returns, ',
  );
});
