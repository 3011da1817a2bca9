// Obligations of the answers of an online policy: plain `online` is never refused, whatever its parameters are set to. Kernel
// counterpart: zone_for_pfn_range() in mm/memory_hotplug.c, which has no way to fail.
import { KernelError } from "@hetmem/kernel";
import { type OnlinePolicies, type OnlinePolicy, onlinePolicyPlacement } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { about, ask, createTrial, type PlacementTrial, questions, scramble } from "../placement/trial.ts";
import { demand } from "../violation.ts";
import { policiesOf } from "./subject.ts";

/** Texts that are written to parameters: bounds of numbers, and what yes and no are. */
export const TEXTS: readonly [string, ...string[]] = ["0", "1", "2", "100", "4294967295", "Y", "N", "many"];

/** Times that the parameters are set. */
const ROUNDS = 8;

export const answersEveryRequest: Obligation<OnlinePolicy> = {
  name: "answers every request",
  sentence:
    "Plain online has a zone for every block, whatever is online already and whatever device the block belongs to.",
  attempt(policy, seed) {
    const trial = trialOf(policiesOf(policy), seed);
    demandAnswers(trial);
    scramble(trial);
    demandAnswers(trial);
  },
};

export const answersForEveryValue: Obligation<OnlinePolicy> = {
  name: "answers under every value of its parameters",
  sentence:
    "An administrator may write any value that a parameter accepts, at any time, and plain online has a zone still.",
  attempt(policy, seed) {
    const policies = policiesOf(policy);
    const trial = trialOf(policies, seed);
    scramble(trial);
    const before = new Set(questions(trial).filter((request) => ask(trial, "online", request)));
    for (let round = 0; round < ROUNDS; round++) {
      const written = policies.declared().map((parameter) => {
        writes(() => policies.parameters.write(parameter, trial.random.pick(TEXTS)));
        return `${parameter.name}=${policies.parameters.read(parameter)}`;
      });
      for (const request of before)
        demand(
          ask(trial, "online", request) !== undefined,
          `with ${written.join(" ")}, ${about("online", request)} has no zone`,
        );
    }
  },
};

/** @returns whether the value was accepted @throws any error but a refusal */
export function writes(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

function trialOf(policies: OnlinePolicies, seed: number): PlacementTrial {
  return createTrial(
    { name: policies.current.name, placement: (groups) => onlinePolicyPlacement(policies, groups) },
    seed,
  );
}

function demandAnswers(trial: PlacementTrial): void {
  for (const request of questions(trial))
    demand(ask(trial, "online", request) !== undefined, `${about("online", request)} has no zone`);
}
