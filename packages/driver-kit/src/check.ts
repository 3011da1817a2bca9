// Tries a driver against each obligation, and reports by name which of them hold. An obligation is tried under a number of
// seeds; the report has the first seed that breaks it, and that seed alone replays the failure. The kernel has no such kit:
// tools/testing/selftests/vm/hmm-tests.c tests the one driver lib/test_hmm.c.
import { type MakeScenario, runRivals } from "@hetmem/explore";
import type { DriverUnderTest } from "./driver.ts";
import { survivesCompany } from "./obligations/company.ts";
import { letsGoOfAProcess, letsGoOfItself } from "./obligations/lifetime.ts";
import { marksWhatItWrites } from "./obligations/dirty.ts";
import { contentsSurvive, givesBackUnderPressure, partialSuccess } from "./obligations/memory.ts";
import { holdsNoPage, invalidatesBeforeItReturns, survivesEveryRetry } from "./obligations/mirror.ts";
import type { Obligation } from "./obligations/obligation.ts";
import { createTrial } from "./trial.ts";

/** All obligations, in the order in which a driver is written. */
export const OBLIGATIONS: readonly Obligation[] = [
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
];

export interface ConformanceOptions {
  /** Seeds that each obligation is tried under: 100 when absent. */
  readonly schedules?: number;
  /** The first seed: 0 when absent. With one schedule, the seed of a report replays its failure. */
  readonly firstSeed?: number;
  /** The obligations to try: all when absent. */
  readonly obligations?: readonly Obligation[];
}

/** The outcome of one obligation. */
export interface ObligationReport {
  readonly name: string;
  readonly sentence: string;
  /** Absent when the obligation holds. */
  readonly failure?: { readonly reason: string; readonly seed: number };
}

export interface ConformanceReport {
  readonly driver: string;
  readonly schedules: number;
  readonly obligations: readonly ObligationReport[];
}

/** Tries a driver. Errors of the driver are failures in the report, and are never thrown. */
export function checkConformance(
  driver: DriverUnderTest,
  { schedules = 100, firstSeed = 0, obligations = OBLIGATIONS }: ConformanceOptions = {},
): ConformanceReport {
  return {
    driver: driver.name,
    schedules,
    obligations: obligations.map((obligation) => tryObligation(driver, obligation, schedules, firstSeed)),
  };
}

/** Whether every obligation that was tried holds. */
export function conforms({ obligations }: ConformanceReport): boolean {
  return obligations.every(({ failure }) => failure === undefined);
}

/** A report to print: a line for each obligation, and under a failed one its sentence, seed and reason. */
export function formatConformance({ driver, obligations, schedules }: ConformanceReport): string {
  const held = obligations.filter(({ failure }) => failure === undefined).length;
  const lines = [
    `${driver}: ${held} of ${obligations.length} obligations hold, under ${schedules} schedules each`,
  ];
  for (const { name, sentence, failure } of obligations) {
    lines.push(`  ${failure === undefined ? "ok    " : "FAILED"} ${name}`);
    if (failure !== undefined)
      lines.push(`         ${sentence}`, `         seed ${failure.seed}: ${failure.reason}`);
  }
  return lines.join("\n");
}

function tryObligation(
  driver: DriverUnderTest,
  { name, sentence, scenario }: Obligation,
  schedules: number,
  firstSeed: number,
): ObligationReport {
  let seed = firstSeed;
  const make: MakeScenario = (next) => {
    seed = next;
    const trial = createTrial(driver, next);
    return { kernel: trial.machine.kernel, ...scenario(trial) };
  };
  try {
    runRivals(make, { first: firstSeed, schedules });
    return { name, sentence };
  } catch (error) {
    return { name, sentence, failure: { reason: reasonOf(error), seed } };
  }
}

/** The reason of an error, without the report of the schedule around it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "ScheduleFailure" ? reasonOf(error.cause) : error.message;
}
