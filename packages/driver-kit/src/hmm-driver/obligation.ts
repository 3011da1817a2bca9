// Obligations of an HMM driver are races: tasks on the machine of one trial, in an order that the seed gives.
import { runSchedule, type Scenario } from "@hetmem/explore";
import type { Obligation } from "../conformance.ts";
import type { DriverUnderTest } from "./driver.ts";
import { createTrial, type Trial } from "./trial.ts";

interface Race {
  readonly name: string;
  readonly sentence: string;
  /** The tasks that race on one trial, and the checks. */
  scenario(trial: Trial): Omit<Scenario, "kernel">;
}

export function race({ name, sentence, scenario }: Race): Obligation<DriverUnderTest> {
  return {
    name,
    sentence,
    attempt(driver, seed) {
      runSchedule((next) => {
        const trial = createTrial(driver, next);
        return { kernel: trial.machine.kernel, ...scenario(trial) };
      }, seed);
    },
  };
}

/** The check of a scenario without one after each step, or at the end. */
export const nothing = (): void => {};
