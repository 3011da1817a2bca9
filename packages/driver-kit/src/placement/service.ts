// Obligations of the refusals of a placement policy: hotplug and drivers online memory on paths that can't ask a person.
// Kernel counterparts: offline_and_remove_memory() and add_memory_driver_managed() in mm/memory_hotplug.c.
import { ZoneType } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { demand } from "../violation.ts";
import { ABSENT, addBlocks, groupOf, REGISTRATIONS } from "./machine.ts";
import {
  about,
  ask,
  blocksOf,
  createTrial,
  named,
  offline,
  online,
  type PlacementUnderTest,
  questions,
  requestFor,
  requestOf,
  state,
  turn,
  TYPES,
} from "./trial.ts";

export const takesBack: Obligation<PlacementUnderTest> = {
  name: "takes back what it gave",
  sentence:
    "A block that has gone offline may go back to a zone of the same kind: offline_and_remove_memory() puts blocks back when a later one can't go.",
  attempt(subject, seed) {
    const trial = createTrial(subject, seed);
    for (const [at, block] of blocksOf(trial).entries()) online(trial, block, turn(TYPES, seed + at));
    for (const block of blocksOf(trial)) {
      const { zone } = block;
      if (!zone || !offline(trial, block)) continue;
      const type = zone.type === ZoneType.Movable ? "online_movable" : "online_kernel";
      const back = ask(trial, type, requestOf(block));
      demand(
        back !== undefined,
        `memory${block.id} was in ${named(zone)}, and ${type} is refused once it is offline`,
      );
      online(trial, block, type);
    }
  },
};

export const placesFirstMemory = state(
  "places the first memory of a node",
  "Plain online isn't refused on a node whose zones are all empty: memory of devices comes up on such a node.",
  (trial) => {
    for (const { node } of ABSENT) {
      if (trial.memory.nodes[node]?.spannedPages !== 0) continue;
      for (const each of ABSENT.filter((absent) => absent.node === node))
        addBlocks(trial.hotplug, node, each.block, 1);
      for (const { start, pages } of questions(trial).filter((each) => each.node === node)) {
        const request = { node, start, pages, group: undefined };
        demand(
          ask(trial, "online", request) !== undefined,
          `${about("online", request)} is refused, and the node is empty`,
        );
      }
    }
  },
);

export const placesBeforeAdding = state(
  "places memory before it is there",
  "A range whose memory isn't added yet is allowed or refused as it is afterwards, so that a program can ask before it adds.",
  (trial) => {
    for (const absent of ABSENT.filter(({ block }) => !trial.hotplug.blocks.has(block))) {
      const request = requestFor(absent);
      const before = TYPES.map((type) => ask(trial, type, request));
      addBlocks(trial.hotplug, absent.node, absent.block, 1);
      for (const [at, type] of TYPES.entries()) {
        const after = ask(trial, type, request);
        demand(
          (before[at] === undefined) === (after === undefined),
          `${about(type, request)} is answered with ${named(before[at])}, and with ${named(after)} once the memory is there`,
        );
      }
    }
  },
);

export const placesEveryDevice = state(
  "places memory of every device",
  "Plain online is allowed or refused alike for a DIMM, for a device that plugs memory in units, and for memory without a device.",
  (trial) => {
    for (const request of questions(trial)) {
      const plain = ask(trial, "online", { ...request, group: undefined });
      for (const registration of REGISTRATIONS) {
        const group = groupOf(trial.hotplug, request.node, registration);
        const zone = ask(trial, "online", { ...request, group });
        demand(
          (zone === undefined) === (plain === undefined),
          `${about("online", request)} is answered with ${named(plain)}, and with ${named(zone)} in a ${registration} group`,
        );
      }
    }
  },
);
