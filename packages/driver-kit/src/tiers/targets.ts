// Obligations about the targets of demotion, and about the drivers of memory. Kernel counterparts: next_demotion_node() and
// init_node_memory_type() in mm/memory-tiers.c.
import type { NodeId } from "@hetmem/kernel";
import type { MemoryTiers } from "@hetmem/mm/ports";
import { demand } from "../violation.ts";
import {
  createTrial,
  described,
  EMPTY,
  FAST,
  nodesWithMemory,
  obligation,
  plug,
  PLUGGED,
  rankOf,
  type Trial,
} from "./trial.ts";

/** Abstract distance that a driver reports. */
const ADISTANCE = 576 * 5;
/** Demotions for which targets take turns. */
const TURNS = 3;

export const demotesDown = obligation({
  name: "demotes to a slower tier",
  sentence:
    "The next node is in a slower tier, so that demotion ends: a page never comes back to where it was.",
  try(trial) {
    for (const { from, next } of demotions(trial))
      demand(
        rankOf(trial, next) > rankOf(trial, from),
        `pages of node ${from} are demoted to node ${next}, and the tiers are ${described(trial.tiers)}`,
      );
  },
});

export const demotesToAllowed = obligation({
  name: "demotes to an allowed node",
  sentence: "The next node is one of the allowed targets, which pages go to when it is full.",
  try(trial) {
    for (const { from, next } of demotions(trial)) {
      // A target that isn't slower is the breach of another obligation.
      if (rankOf(trial, next) <= rankOf(trial, from)) continue;
      const allowed = trial.tiers.allowedTargets(from);
      demand(
        allowed.includes(next),
        `node ${from} demotes to ${next}, and ${allowed.join(", ")} are allowed`,
      );
    }
  },
});

export const allowsSlower = obligation({
  name: "allows slower tiers only",
  sentence: "A page that finds the next node full goes to a slower tier, too, or stays.",
  try(trial) {
    for (const from of nodesWithMemory(trial))
      for (const to of trial.tiers.allowedTargets(from))
        demand(
          rankOf(trial, to) > rankOf(trial, from),
          `node ${from} may demote to node ${to}, and the tiers are ${described(trial.tiers)}`,
        );
  },
});

export const knowsAnyNode = obligation({
  name: "answers for a node without memory",
  sentence: "A node whose memory has gone, or has not come yet, has no targets: to ask is no error.",
  try({ tiers }) {
    const [next, allowed] = [tiers.nextDemotionNode(EMPTY), tiers.allowedTargets(EMPTY)];
    tiers.isToptier(EMPTY);
    demand(next === undefined, `pages of node ${EMPTY}, which has none, are demoted to node ${next}`);
    demand(allowed.length === 0, `node ${EMPTY} has no memory, and may demote to ${allowed.join(", ")}`);
  },
});

export const takesTypesFirst = obligation({
  name: "hears of memory before it comes",
  sentence:
    "A driver reports the distance of its memory before it adds that, and takes it back when it fails.",
  try({ tiers, machine }) {
    const before = described(tiers);
    tiers.setAdistance(EMPTY, ADISTANCE);
    demand(
      described(tiers) === before,
      `node ${EMPTY} has no memory yet, and the tiers are ${described(tiers)}`,
    );
    tiers.clearAdistance(EMPTY);
    tiers.clearAdistance(EMPTY);
    tiers.setAdistance(EMPTY, ADISTANCE);
    plug(machine, EMPTY);
  },
});

export const answersAlike = obligation({
  name: "gives machines that are alike the same answers",
  sentence:
    "Tiers and targets depend on the machine and the questions before: not on chance, time or other machines.",
  try(_trial, subject) {
    const answers = [0, 0].map((seed) => {
      const { tiers } = createTrial(subject, seed);
      return `${described(tiers)}; next ${turnsOf(tiers, FAST).join(", ")}`;
    });
    demand(new Set(answers).size === 1, `two machines alike answer ${answers.join(" and ")}`);
  },
});

function* demotions(trial: Trial): Generator<{ readonly from: NodeId; readonly next: NodeId }> {
  for (const from of [FAST, ...PLUGGED])
    for (const next of turnsOf(trial.tiers, from)) if (next !== undefined) yield { from, next };
}

/** The targets of some demotions of a node, one after the other. */
function turnsOf(tiers: MemoryTiers, from: NodeId): (NodeId | undefined)[] {
  return Array.from({ length: TURNS }, () => tiers.nextDemotionNode(from));
}
