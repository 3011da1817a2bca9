// The machine of a trial of a placement policy: node 0 with boot memory around a hole below 4 GiB, two nodes without memory,
// and blocks that were added and are offline: in the hole, above 4 GiB, and on node 1. Each trial has machines of its own.
import {
  createKernel,
  MiB,
  type NodeId,
  nodeId,
  PAGE_SIZE,
  type Pfn,
  type PhysAddr,
  physAddr,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { createIomem, parseIomem } from "@hetmem/resource";
import {
  bootMemory,
  type Memory,
  type MemoryBlock,
  type MemoryGroup,
  MemoryHotplug,
  type MemoryGroups,
  type MovableOptions,
  type Placement,
} from "@hetmem/zone";

const BLOCK = 128 * MiB;
const PHYSICAL_BITS = 36;
const PAGES_PER_BLOCK = BLOCK / PAGE_SIZE;
/** Boot memory in bytes: little, since a trial costs what it touches. */
const LOW = 48 * MiB;
const [HIGH_START, HIGH_END] = [768 * MiB, 784 * MiB];
/** Sections with boot memory, of the devices below, and of absent blocks. */
const SECTIONS = 2 + 4 + 3;

/** Boot options of which a seed chooses: none, Movable as the default, Movable from boot on. */
export const BOOTS: readonly [MovableOptions, ...MovableOptions[]] = [
  {},
  { movable_node: true },
  { kernelcore: LOW },
];

/** How the memory of a device is registered. */
export type Registration = "none" | "static" | "dynamic";
export const REGISTRATIONS: readonly [Registration, ...Registration[]] = ["none", "static", "dynamic"];

/** Devices: their node, first block and number of blocks. The first is in the hole of the boot memory. */
const DEVICES = [
  { node: nodeId(0), block: 3, blocks: 1 },
  { node: nodeId(0), block: 32, blocks: 2 },
  { node: nodeId(1), block: 48, blocks: 1 },
] as const;

/** Blocks whose memory isn't added when the machine is made: in the hole, and above 4 GiB on each node without memory. */
export const ABSENT: readonly { readonly node: NodeId; readonly block: number }[] = [
  { node: nodeId(0), block: 2 },
  { node: nodeId(1), block: 50 },
  { node: nodeId(2), block: 56 },
];

export interface PlacementMachine {
  readonly memory: Memory;
  readonly hotplug: MemoryHotplug;
}

/** Boots a machine and adds the memory of its devices, offline. */
export function placementMachine(
  placement: (groups: MemoryGroups) => Placement,
  boot: MovableOptions,
  registration: Registration,
): PlacementMachine {
  const memory = bootMemory(createKernel(), {
    nodes: [0, 1, 2].map((id) => ({
      id: nodeId(id),
      memory: id === 0 ? [bytes(0, LOW), bytes(HIGH_START, HIGH_END)] : [],
      cpus: id === 0 ? [0] : [],
    })),
    physicalBits: PHYSICAL_BITS,
    maxPages: SECTIONS * PAGES_PER_BLOCK,
    ...boot,
  });
  const hotplug = new MemoryHotplug({
    memory,
    iomem: parseIomem(`${ramLine(0, LOW)}${ramLine(HIGH_START, HIGH_END)}`, createIomem(PHYSICAL_BITS)),
    placement,
  });
  for (const { node, block, blocks } of DEVICES)
    addBlocks(hotplug, node, block, blocks, groupOf(hotplug, node, registration));
  return { memory, hotplug };
}

/** Registers a device of two blocks, and leaves its memory to be added. */
export function groupOf(
  { groups }: MemoryHotplug,
  node: NodeId,
  registration: Registration,
): MemoryGroup | undefined {
  if (registration === "none") return undefined;
  return registration === "static"
    ? groups.register(node, { type: "static", maxPages: 2 * PAGES_PER_BLOCK })
    : groups.register(node, { type: "dynamic", unitPages: 2 * PAGES_PER_BLOCK });
}

/** Adds memory, offline. Blocks that are there stay as they are. */
export function addBlocks(
  hotplug: MemoryHotplug,
  node: NodeId,
  block: number,
  blocks: number,
  group?: MemoryGroup,
): void {
  if (hotplug.blocks.has(block)) return;
  const start = physAddr(block * BLOCK);
  locked(hotplug, () => hotplug.addMemory(node, start, blocks * BLOCK, group ? { group } : {}));
}

/** Runs a task with device_hotplug_lock held. */
export function locked<T>({ locks }: MemoryHotplug, body: () => Sleeps<T>): T {
  run(locks.lockDeviceHotplug());
  try {
    return run(body());
  } finally {
    locks.unlockDeviceHotplug();
  }
}

/** First frame and number of frames of a block. */
export function framesOf(block: number): Pick<MemoryBlock, "start" | "pages"> {
  return { start: (block * PAGES_PER_BLOCK) as Pfn, pages: PAGES_PER_BLOCK };
}

function bytes(start: number, end: number): { readonly start: PhysAddr; readonly end: PhysAddr } {
  return { start: physAddr(start), end: physAddr(end) };
}

function ramLine(start: number, end: number): string {
  return `${start.toString(16).padStart(8, "0")}-${(end - 1).toString(16).padStart(8, "0")} : System RAM\n`;
}
