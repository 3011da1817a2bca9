// The reference device meets every obligation of the driver kit.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { hmmDriverKit } from "@hetmem/driver-kit/hmm-driver";
import { rivalsPlan } from "@hetmem/explore";
import { expect, test } from "vitest";
import { referenceDriver } from "./driver-under-test.ts";

/** HETMEM_SCHEDULES counts schedules of a path; here each driver has ten obligations to be tried. */
const { schedules, first = 0 } = rivalsPlan(process.env, 40);

test.each([referenceDriver("private"), referenceDriver("coherent")])(
  "$name meets every obligation",
  { timeout: 36_000_000 },
  (driver) => {
    const report = checkConformance(hmmDriverKit, driver, { seeds: schedules, firstSeed: first });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);
