// One trial of a driver of the dax bus: a machine with a region of 512 MiB, devices in it, and the files of the bus, through which
// devices are bound. Obligations are written in the verbs of this file.
import {
  allocDaxRegion,
  createDevDax,
  DaxBus,
  daxBusTables,
  daxDeviceTables,
  type DaxDriver,
  type DaxRegion,
  type DevDax,
  rangeSize,
} from "@hetmem/dax";
import { MiB, type NodeId, physAddr, run, type Sleeps } from "@hetmem/kernel";
import { AdistanceTiers } from "@hetmem/migrate";
import { descendants, formatIomem, type Resource } from "@hetmem/resource";
import { Vfs } from "@hetmem/vfs";
import type { Memory, MemoryBlock } from "@hetmem/zone";
import type { Obligation } from "../conformance.ts";
import { SECTION, type TrialMachine, trialMachine } from "../machine.ts";
import { finishes } from "../steps.ts";
import { demand } from "../violation.ts";
import type { DaxDriverUnderTest } from "./driver.ts";

/** First byte of the region, and its sections. */
export const START = 0x8000_0000;
const SECTIONS = 4;
/** Bytes of RAM: struct pages of a section take 2 MiB. */
const RAM = 32 * MiB;
/** The node that memory of devices belongs to, which has none yet. */
export const TARGET_NODE = 1;

export interface Trial {
  readonly machine: TrialMachine;
  readonly bus: DaxBus;
  readonly driver: DaxDriver;
  readonly region: DaxRegion;
  readonly vfs: Vfs;
  /** Abstract distances that drivers have set and not cleared, by node. */
  readonly adistances: ReadonlyMap<NodeId, number>;
}

/** Memory tiers that tell what drivers have said of nodes, with memory or without. */
class NotedTiers extends AdistanceTiers {
  private readonly noted: Map<NodeId, number>;

  constructor(memory: Memory, noted: Map<NodeId, number>) {
    super(memory);
    this.noted = noted;
  }

  override setAdistance(node: NodeId, adistance: number): void {
    this.noted.set(node, adistance);
    super.setAdistance(node, adistance);
  }

  override clearAdistance(node: NodeId): void {
    this.noted.delete(node);
    super.clearAdistance(node);
  }
}

interface Rule {
  readonly name: string;
  readonly sentence: string;
  try(trial: Trial, seed: number): Sleeps<void>;
}

/** An obligation whose trial is one task. */
export function obligation({ name, sentence, try: attempt }: Rule): Obligation<DaxDriverUnderTest> {
  return { name, sentence, attempt: (subject, seed) => run(attempt(createTrial(subject), seed)) };
}

/** @param targetNode of the region, as the firmware names it */
export function createTrial(subject: DaxDriverUnderTest, targetNode: number = TARGET_NODE): Trial {
  const adistances = new Map<NodeId, number>();
  const machine = trialMachine({
    ram: RAM,
    emptyNodes: 1,
    room: SECTIONS,
    parts: (memory) => ({ tiers: () => new NotedTiers(memory, adistances) }),
  });
  const { kernel, iomem, vm, pagemaps } = machine;
  const bus = new DaxBus({ kernel, iomem });
  bus.autoprobe = false;
  const driver = subject.create({ vm, pagemaps });
  run(bus.registerDriver(driver));
  const region = allocDaxRegion(
    bus,
    { devpath: "devices/platform/hmem.0", numaNode: 0 },
    {
      id: 0,
      start: physAddr(START),
      size: SECTIONS * SECTION,
      targetNode,
      align: 2 * MiB,
      kind: "dynamic",
    },
  );
  const vfs = new Vfs();
  for (const table of [...daxBusTables(bus), ...daxDeviceTables(bus)]) vfs.mountLazily(table);
  return { machine, bus, driver, region, vfs, adistances };
}

/** Creates a device with the first free memory of the region. */
export function* addDevice(trial: Trial, bytes: number): Sleeps<DevDax> {
  const { region } = trial;
  const isFirst = region.availableSize === region.resource.size;
  const device = yield* createDevDax(region, { size: isFirst ? bytes : 0 });
  if (!isFirst && bytes > 0) yield* resize(trial, device, bytes);
  return device;
}

export function* resize({ vfs }: Trial, { name }: DevDax, bytes: number): Sleeps<void> {
  yield* vfs.write(`/sys/bus/dax/devices/${name}/size`, `${bytes}\n`);
}

/** Adds a range at a place in the region. */
export function* addRange({ vfs }: Trial, { name }: DevDax, offset: number, bytes: number): Sleeps<void> {
  const [start, end] = [START + offset, START + offset + bytes - 1];
  yield* vfs.write(`/sys/bus/dax/devices/${name}/mapping`, `${start.toString(16)}-${end.toString(16)}\n`);
}

/** Binds a device to the driver, by the names that an administrator writes. @throws errors of probe() */
export function* bind({ bus, driver, vfs }: Trial, { name }: DevDax): Sleeps<void> {
  if (driver.matchAlways !== true) bus.idsOf(driver).add(name);
  yield* vfs.write(`/sys/bus/dax/drivers/${driver.name}/bind`, `${name}\n`);
}

export function* unbind({ driver, vfs }: Trial, { name }: DevDax): Sleeps<void> {
  yield* vfs.write(`/sys/bus/dax/drivers/${driver.name}/unbind`, `${name}\n`);
}

/** Whether a device is bound after a trial of that; errors of probe() are other obligations'. */
export function* binds(trial: Trial, device: DevDax): Sleeps<boolean> {
  try {
    yield* bind(trial, device);
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

/** Whether the driver lets go of a device; that it does is another obligation. */
export function* unbinds(trial: Trial, device: DevDax): Sleeps<boolean> {
  try {
    return (yield* finishes(unbind(trial, device))) !== undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

/** The state of a machine that a driver may change, by name. */
export type State = Readonly<Record<string, string>>;

export function stateOf({ machine: { hotplug, iomem, memory, pagemaps, vm }, adistances }: Trial): State {
  return {
    "/proc/iomem": formatIomem(iomem, { privileged: true }),
    "memory blocks": [...hotplug.blocks.values()].map(({ id, node }) => `${id} of node ${node}`).join(),
    pagemaps: pagemaps.mapped().join(),
    "pages of nodes": memory.nodes.map((node) => node?.presentPages ?? 0).join(),
    "abstract distances": [...adistances].map(([node, distance]) => `${distance} of node ${node}`).join(),
    "locks that are held": `${vm.kernel.lockdep.current.held.length}`,
  };
}

/** The first thing that differs between two states; undefined when nothing does. */
export function difference(before: State, after: State): string | undefined {
  for (const [name, had] of Object.entries(before)) {
    const has = after[name] ?? "";
    if (has !== had) return `${name}: ${JSON.stringify(has)}, and not ${JSON.stringify(had)}`;
  }
  return undefined;
}

/** @throws Violation unless two states are equal */
export function demandSame(before: State, after: State, when: string): void {
  const found = difference(before, after);
  demand(found === undefined, `${when}: ${found}`);
}

/** The parts of the physical address space that are reserved under the name of a device. */
export function reserved({ machine: { iomem } }: Trial, device: DevDax): readonly Resource[] {
  return [...descendants(iomem)].filter(({ name }) => name === device.name);
}

/** Memory blocks of RAM in the ranges of a device. */
export function blocksOf({ machine: { hotplug } }: Trial, { ranges }: DevDax): readonly MemoryBlock[] {
  return ranges.flatMap((range) => hotplug.blocksIn(range.start, rangeSize(range)));
}

/** @throws Violation unless each memory block in a device's ranges is in a part that is reserved for the device */
export function demandReserved(trial: Trial, device: DevDax, when: string): void {
  const parts = reserved(trial, device);
  for (const { id } of blocksOf(trial, device)) {
    const start = id * SECTION;
    demand(
      parts.some((part) => part.start <= start && part.end >= start + SECTION - 1),
      `${when}: memory${id} is RAM, and its range isn't reserved for ${device.name}: another driver may take it`,
    );
  }
}
