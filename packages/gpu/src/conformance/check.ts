// Runs a driver against all that the kernel counts on, and says of each by name whether it holds. An obligation is tried
// under so many seeds; the first that breaks it is reported, and tries it again alone.
import { freshMachines, type MakeScenario, runRivals } from "@hetmem/explore";
import type { DriverUnderTest } from "./driver.ts";
import { survivesCompany } from "./obligations/company.ts";
import { letsGoOfAProcess, letsGoOfItself } from "./obligations/lifetime.ts";
import { marksWhatItWrites } from "./obligations/dirty.ts";
import { contentsSurvive, givesBackUnderPressure, partialSuccess } from "./obligations/memory.ts";
import { holdsNoPage, invalidatesBeforeItReturns, survivesEveryRetry } from "./obligations/mirror.ts";
import type { Obligation } from "./obligations/obligation.ts";
import { createTrial } from "./trial.ts";

/** All of them, in the order in which a driver is written. */
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
  /** Where they begin: 0 when absent. With one schedule, the seed of a report replays it. */
  readonly firstSeed?: number;
  /** Which are tried: all when absent. */
  readonly obligations?: readonly Obligation[];
}

/** How a driver stands to one obligation. */
export interface ObligationReport {
  readonly name: string;
  readonly sentence: string;
  /** Absent when it holds. */
  readonly failure?: { readonly reason: string; readonly seed: number };
}

export interface ConformanceReport {
  readonly driver: string;
  readonly schedules: number;
  readonly obligations: readonly ObligationReport[];
}

/** Tries a driver. Never throws for what a driver does. */
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

/** Whether all that was tried holds. */
export function conforms({ obligations }: ConformanceReport): boolean {
  return obligations.every(({ failure }) => failure === undefined);
}

/** A report to print: a line for each obligation, and under one that doesn't hold, why and how to see it again. */
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
    runRivals(freshMachines(make), { first: firstSeed, schedules });
    return { name, sentence };
  } catch (error) {
    return { name, sentence, failure: { reason: reasonOf(error), seed } };
  }
}

/** What stands behind the report of a schedule. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "ScheduleFailure" ? reasonOf(error.cause) : error.message;
}
