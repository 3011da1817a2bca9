// What an obligation is: a name, what the kernel counts on, and how it is tried.
import type { Scenario } from "@hetmem/explore";
import type { Trial } from "../trial.ts";

export interface Obligation {
  readonly name: string;
  /** What the kernel counts on, in one sentence. */
  readonly sentence: string;
  /** The tasks that race on one trial, and what is looked at. Each obligation looks for its own breach, and no other. */
  scenario(trial: Trial): Omit<Scenario, "kernel">;
}

/** For who has nothing to look at after each step, or at the end. */
export const nothing = (): void => {};
