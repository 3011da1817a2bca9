// The reference device meets every obligation of the driver kit, with both kinds of memory.
import { checkConformance, conforms, formatConformance } from "@hetmem/driver-kit";
import { gpuDriverKit, hmmDriverOf } from "@hetmem/driver-kit/gpu-driver";
import { hmmDriverKit } from "@hetmem/driver-kit/hmm-driver";
import { pagemapOpsKit } from "@hetmem/driver-kit/pagemap-ops";
import { rivalsPlan } from "@hetmem/explore";
import { expect, test } from "vitest";
import { gpuDriver } from "../src/index.ts";
import { referenceMemory } from "./memory-under-test.ts";

/** HETMEM_SCHEDULES counts schedules of a path; here each driver has ten obligations to be tried. */
const { schedules, first = 0 } = rivalsPlan(process.env, 40);

test.each([hmmDriverOf(gpuDriver, "private"), hmmDriverOf(gpuDriver, "coherent")])(
  "the reference driver, $name, meets every obligation of an HMM driver",
  { timeout: 36_000_000 },
  (driver) => {
    const report = checkConformance(hmmDriverKit, driver, { seeds: schedules, firstSeed: first });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);

test("the reference driver meets what a machine counts on beside them", () => {
  const only = ["counts its pages", "keeps its devices apart"];
  const report = checkConformance(gpuDriverKit, gpuDriver, { seeds: 20, only });
  expect(conforms(report), formatConformance(report)).toBe(true);
});

test.each([referenceMemory("private"), referenceMemory("coherent")])(
  "$name meets every obligation of pagemap ops",
  (memory) => {
    const report = checkConformance(pagemapOpsKit, memory, { seeds: 20 });
    expect(conforms(report), formatConformance(report)).toBe(true);
  },
);
