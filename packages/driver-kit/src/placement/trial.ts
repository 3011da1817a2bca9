// One trial of a placement policy: a machine that places its memory by it, some of whose blocks are online. Obligations are
// written in the verbs of this file, which take an answer that breaks another obligation for a refusal.
import { KernelBug, KernelError, Random } from "@hetmem/kernel";
import {
  allZones,
  type MemoryBlock,
  type MemoryGroup,
  type MemoryGroups,
  offlineBlock,
  onlineBlock,
  type OnlineType,
  type Placement,
  type PlacementRequest,
  type Zone,
} from "@hetmem/zone";
import type { Named, Obligation } from "../conformance.ts";
import {
  BOOTS,
  framesOf,
  locked,
  type PlacementMachine,
  placementMachine,
  REGISTRATIONS,
} from "./machine.ts";

/** A placement policy under test. */
export interface PlacementUnderTest extends Named {
  /** Makes the policy of a machine, as MemoryHotplug takes it. Called once for each machine. */
  readonly placement: (groups: MemoryGroups) => Placement;
}

export const TYPES: readonly [OnlineType, ...OnlineType[]] = ["online", "online_kernel", "online_movable"];

/** States of a machine that an obligation looks at, and blocks that go online or offline before each. */
const STATES = 2;
const CHANGES = 4;

export interface PlacementTrial extends PlacementMachine {
  readonly random: Random;
  readonly placement: Placement;
}

/** An obligation that looks at one machine in some states, which the seed gives. */
export function state(
  name: string,
  sentence: string,
  look: (trial: PlacementTrial) => void,
): Obligation<PlacementUnderTest> {
  return {
    name,
    sentence,
    attempt(subject, seed) {
      const trial = createTrial(subject, seed);
      for (let i = 0; i < STATES; i++) {
        scramble(trial);
        look(trial);
      }
    },
  };
}

/** A trial with all added blocks offline, equal for equal seeds. Three seeds have all boot options. */
export function createTrial({ placement: make }: PlacementUnderTest, seed: number): PlacementTrial {
  const random = new Random(seed);
  const machine = placementMachine(make, turn(BOOTS, seed), turn(REGISTRATIONS, seed + Math.floor(seed / 3)));
  return { ...machine, random, placement: machine.hotplug.placement };
}

/** One of the items by turns. */
export function turn<T>(items: readonly [T, ...T[]], ordinal: number): T {
  return items[ordinal % items.length] ?? items[0];
}

/** Takes blocks online and offline, in a random order and in all ways. */
export function scramble(trial: PlacementTrial): void {
  for (let i = 0; i < CHANGES; i++) change(trial);
}

function change(trial: PlacementTrial): void {
  const { random } = trial;
  const blocks = blocksOf(trial);
  const block = blocks[random.below(blocks.length)];
  if (block?.state === "offline") online(trial, block, random.pick(TYPES));
  else if (block) offline(trial, block);
}

export function blocksOf({ hotplug }: PlacementTrial): MemoryBlock[] {
  return [...hotplug.blocks.values()];
}

/** @returns whether the block is in a zone now, and false where the policy refuses or gives a wrong zone */
export function online({ hotplug }: PlacementTrial, block: MemoryBlock, type: OnlineType): boolean {
  return succeeds(() => locked(hotplug, () => onlineBlock(hotplug, block, type)));
}

export function offline({ hotplug }: PlacementTrial, block: MemoryBlock): boolean {
  return succeeds(() => locked(hotplug, () => offlineBlock(hotplug, block)));
}

function succeeds(body: () => boolean): boolean {
  try {
    return body();
  } catch (error) {
    if (error instanceof KernelError || error instanceof KernelBug) return false;
    throw error;
  }
}

/** The question about a block. */
export function requestOf({ node, start, pages, group }: MemoryBlock): PlacementRequest {
  return { node, start, pages, group };
}

/** The question about memory that need not be there. */
export function requestFor(
  { node, block }: { readonly node: PlacementRequest["node"]; readonly block: number },
  group?: MemoryGroup,
): PlacementRequest {
  return { node, ...framesOf(block), group };
}

/** The questions about all offline blocks. */
export function questions(trial: PlacementTrial): PlacementRequest[] {
  return blocksOf(trial)
    .filter((block) => block.state === "offline")
    .map(requestOf);
}

/** The zone that a policy answers; undefined where it refuses, throws or answers something else. */
export function ask(
  { memory, placement }: PlacementTrial,
  type: OnlineType,
  request: PlacementRequest,
): Zone | undefined {
  const answer = valueOf(() => placement.zoneFor(memory, type, request));
  return [...allZones(memory)].find((zone) => zone === answer);
}

/** The zones that a policy lists, none where it throws. */
export function list({ memory, placement }: PlacementTrial, request: PlacementRequest): readonly Zone[] {
  return valueOf(() => placement.validZones(memory, request)) ?? [];
}

function valueOf<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

/** A question in words. */
export function about(type: OnlineType, { node, start, pages }: PlacementRequest): string {
  return `${type} of frames 0x${start.toString(16)}-0x${(start + pages - 1).toString(16)} of node ${node}`;
}

/** A zone in words. */
export function named(zone: Zone | undefined): string {
  return zone ? `${zone.name} of node ${zone.node}` : "a refusal";
}
