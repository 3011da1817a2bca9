// The obligations of a driver whose device mirrors address spaces and has memory of its own. Kernel counterpart: the kernel's
// tests of that are for the one driver of lib/test_hmm.c, tools/testing/selftests/vm/hmm-tests.c.
import type { Kit } from "../conformance.ts";
import { survivesCompany } from "./company.ts";
import { marksWhatItWrites } from "./dirty.ts";
import type { DriverUnderTest } from "./driver.ts";
import { letsGoOfAProcess, letsGoOfItself } from "./lifetime.ts";
import { contentsSurvive, givesBackUnderPressure, partialSuccess } from "./memory.ts";
import { holdsNoPage, invalidatesBeforeItReturns, survivesEveryRetry } from "./mirror.ts";

export const hmmDriverKit: Kit<DriverUnderTest> = {
  port: "HMM driver",
  obligations: [
    invalidatesBeforeItReturns,
    holdsNoPage,
    survivesEveryRetry,
    marksWhatItWrites,
    contentsSurvive,
    givesBackUnderPressure,
    partialSuccess,
    survivesCompany,
    letsGoOfAProcess,
    letsGoOfItself,
  ],
};
