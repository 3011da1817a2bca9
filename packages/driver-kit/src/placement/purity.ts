// Obligations of a question: it changes nothing, and the answer follows from the machine's state. Each read
// of valid_zones asks, without the lock that onlining holds; a machine that is booted again must come up as before.
import type { Random } from "@hetmem/kernel";
import { allZones, type PlacementRequest } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import { ABSENT } from "./machine.ts";
import {
  about,
  ask,
  blocksOf,
  createTrial,
  list,
  named,
  offline,
  online,
  type PlacementTrial,
  type PlacementUnderTest,
  questions,
  requestFor,
  state,
  turn,
  TYPES,
} from "./trial.ts";

/** Blocks that go online before two machines are compared. */
const CHANGES = 3;
/** Times that each question is asked. */
const ROUNDS = 6;

export const changesNothing = state(
  "changes nothing when it is asked",
  "A question leaves zones, nodes, blocks and the groups of devices as they were.",
  (trial) => {
    const before = recordOf(trial);
    answers(trial, [...questions(trial), ...ABSENT.map((each) => requestFor(each))]);
    const after = recordOf(trial);
    for (const [at, line] of before.entries())
      demand(after[at] === line, `a question changes "${line}" to "${after[at] ?? "nothing"}"`);
  },
);

export const answersAlike = state(
  "answers alike when it is asked again",
  "As long as the machine doesn't change, the same question has the same answer, whatever is asked in between.",
  (trial) => {
    const asked = questions(trial);
    const first = answers(trial, asked);
    for (let round = 1; round < ROUNDS; round++) {
      const again = answers(trial, shuffled(asked, trial.random));
      for (const [question, zone] of first)
        demand(
          again.get(question) === zone,
          `${question} is answered with ${zone}, and later with ${again.get(question)}`,
        );
    }
  },
);

export const answersFromState: Obligation<PlacementUnderTest> = {
  name: "answers from the state alone",
  sentence:
    "Two machines in the same state have the same answers: nothing is remembered of blocks that are offline again, nor of other machines.",
  attempt(subject, seed) {
    const straight = createTrial(subject, seed);
    const winding = createTrial(subject, seed);
    detour(winding);
    demandEqual(straight, winding);
    for (const { id } of shuffled(blocksOf(straight), straight.random).slice(0, CHANGES)) {
      const type = straight.random.pick(TYPES);
      for (const trial of [straight, winding]) online(trial, trial.hotplug.block(id), type);
      const zones = [straight, winding].map((trial) => named(trial.hotplug.block(id).zone));
      demand(
        zones[0] === zones[1],
        `${type} puts memory${id} of two equal machines in ${zones.join(" and ")}`,
      );
      demandEqual(straight, winding);
    }
  },
};

function demandEqual(one: PlacementTrial, other: PlacementTrial): void {
  const others = answers(other, questions(other));
  for (const [question, zone] of answers(one, questions(one)))
    demand(
      others.get(question) === zone,
      `${question} is answered with ${zone}, and with ${others.get(question)} on an equal machine`,
    );
}

/** Takes some blocks online in all ways, and offline again. */
function detour(trial: PlacementTrial): void {
  const blocks = shuffled(blocksOf(trial), trial.random).slice(0, CHANGES);
  for (const [at, block] of blocks.entries()) {
    online(trial, block, turn(TYPES, at));
    answers(trial, questions(trial));
  }
  for (const block of blocks.toReversed()) if (block.state === "online") offline(trial, block);
}

/** The answer to each question, in words. */
function answers(trial: PlacementTrial, requests: readonly PlacementRequest[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const request of requests) {
    for (const type of TYPES) found.set(about(type, request), named(ask(trial, type, request)));
    list(trial, request);
  }
  return found;
}

/** The state of a machine, a line for each zone, node, group and block. */
function recordOf({ memory, hotplug }: PlacementTrial): string[] {
  const zones = [...allZones(memory)].map(
    ({ node, name, startPfn, spannedPages, presentPages, presentEarlyPages, managedPages, freePages }) =>
      `${name} of node ${node} spans ${startPfn}+${spannedPages}, present ${presentPages} (${presentEarlyPages}), managed ${managedPages}, free ${freePages}`,
  );
  const nodes = memory.nodes.map(
    (node) => `node ${node?.id} spans ${node?.startPfn}+${node?.spannedPages}, online ${node?.online}`,
  );
  const blocks = [...hotplug.blocks.values()].map(
    ({ id, state: now, zone, group }) =>
      `memory${id} is ${now} in ${zone?.name}, of group ${group?.id} with ${group?.presentKernelPages} kernel and ${group?.presentMovablePages} movable pages`,
  );
  return [...zones, ...nodes, ...blocks, `${hotplug.groups.count} groups`];
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, rank: random.nextUint32() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}
