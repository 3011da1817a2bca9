// One trial of memory tiers: a machine with RAM and a cpu on node 0, and three nodes without cpus, two of which have got memory by
// hotplug. Obligations are written in the verbs of this file.
import { MiB, type NodeId, nodeId, physAddr, run, type Sleeps } from "@hetmem/kernel";
import type { Vm } from "@hetmem/mm";
import type { MemoryTiers } from "@hetmem/mm/ports";
import { offlineBlock, onlineBlock } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { SECTION, type TrialMachine, trialMachine } from "../machine.ts";

/** The node with RAM and a cpu. */
export const FAST: NodeId = nodeId(0);
/** Nodes with hotplugged memory. */
export const PLUGGED: readonly NodeId[] = [nodeId(1), nodeId(2)];
/** A node without memory. */
export const EMPTY: NodeId = nodeId(3);
const NODES = 4;
/** Bytes of RAM: enough for the struct pages of the blocks. */
const RAM: number = 16 * MiB;
/** Abstract distance of a memory that is slower than that of any node without cpus. */
const SLOWEST = 576 * 10;

/** Memory tiers, as the kit makes them. */
export interface TiersUnderTest {
  /** For reports. */
  readonly name: string;
  /** Makes the tiers of one machine. Called once for each machine. */
  create(vm: Vm): MemoryTiers;
}

export interface Trial {
  readonly machine: TrialMachine;
  readonly tiers: MemoryTiers;
}

interface Rule {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial, subject: TiersUnderTest): void;
}

/** An obligation that is tried with two nodes of equal memory on even seeds, and on odd ones with one that is slower. */
export function obligation({ name, sentence, try: attempt }: Rule): Obligation<TiersUnderTest> {
  return { name, sentence, attempt: (subject, seed) => attempt(createTrial(subject, seed), subject) };
}

export function createTrial(subject: TiersUnderTest, seed: number): Trial {
  const machine = trialMachine({
    ram: RAM,
    emptyNodes: NODES - 1,
    room: NODES - 1,
    parts: () => ({ tiers: (vm) => subject.create(vm) }),
  });
  const { tiers } = machine.vm;
  for (const node of PLUGGED) plug(machine, node);
  if (seed % 2 === 1) tiers.setAdistance(nodeId(2), SLOWEST);
  return { machine, tiers };
}

/** Adds a block of memory to a node, and takes it online. */
export function plug({ hotplug }: TrialMachine, node: NodeId): void {
  run(
    locked(hotplug.locks, function* () {
      yield* hotplug.addMemory(node, physAddr(node * SECTION), SECTION);
      yield* onlineBlock(hotplug, hotplug.block(node), "online_movable");
    }),
  );
}

/** Takes the memory of a node offline, and removes it. */
export function unplug({ hotplug }: TrialMachine, node: NodeId): void {
  run(
    locked(hotplug.locks, function* () {
      yield* offlineBlock(hotplug, hotplug.block(node));
      yield* hotplug.removeMemory(physAddr(node * SECTION), SECTION);
    }),
  );
}

/** Nodes with memory. */
export function nodesWithMemory({ machine: { memory } }: Trial): readonly NodeId[] {
  return memory.nodes.flatMap((node) => (node !== undefined && node.presentPages > 0 ? [node.id] : []));
}

/** Rank of a node's tier, 0 for the fastest; -1 for a node that is in none. */
export function rankOf({ tiers }: Trial, node: NodeId): number {
  return tiers.tiers.findIndex(({ nodes }) => nodes.includes(node));
}

/** The tiers in words: `4: 0; 22: 1, 2`. */
export function described({ tiers }: MemoryTiers): string {
  return tiers.map(({ id, nodes }) => `${id}: ${nodes.join(", ")}`).join("; ");
}

function* locked<T>(locks: TrialMachine["hotplug"]["locks"], body: () => Sleeps<T>): Sleeps<T> {
  yield* locks.lockDeviceHotplug();
  try {
    return yield* body();
  } finally {
    locks.unlockDeviceHotplug();
  }
}
