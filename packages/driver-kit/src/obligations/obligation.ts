// The form of an obligation: its name, the rule that the kernel relies on, and a scenario that tries it on one trial.
// Obligations are plain values: a list of them is passed to checkConformance().
import type { Scenario } from "@hetmem/explore";
import type { Trial } from "../trial.ts";

export interface Obligation {
  readonly name: string;
  /** The rule that the kernel relies on, in one sentence. */
  readonly sentence: string;
  /** The tasks that race on one trial, and the checks. Each obligation checks for its own breach, and no other. */
  scenario(trial: Trial): Omit<Scenario, "kernel">;
}

/** The check of a scenario without one after each step, or at the end. */
export const nothing = (): void => {};
