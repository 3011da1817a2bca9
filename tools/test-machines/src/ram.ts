// RAM of a small machine: nodes that boot with it, the iomem tree that lists it, and hotplug over both. Every machine
// of this folder with more than zones begins with these.
import { alignUp, createKernel, type Kernel, MiB, nodeId, physAddr, type Sleeps } from "@hetmem/kernel";
import {
  createIomem,
  insertResource,
  IORESOURCE_BUSY,
  IORESOURCE_SYSTEM_RAM,
  Resource,
  type ResourceTree,
} from "@hetmem/resource";
import {
  allZones,
  anyOrderPlacement,
  type BootConfig,
  bootMemory,
  type Memory,
  MemoryHotplug,
  type MemoryHotplugOptions,
} from "@hetmem/zone";

/** Bytes of a section, and of a memory block. */
export const SECTION: number = 128 * MiB;

export interface RamNode {
  /** Memory in bytes [start, end); none for a node that hotplug may fill. */
  readonly memory: readonly (readonly [start: number, end: number])[];
  readonly cpus: readonly number[];
}

export interface RamOptions extends Partial<Pick<BootConfig, "distances" | "movable_node">> {
  readonly physicalBits: number;
  /** Bytes that hotplug and devices may add: none when absent. */
  readonly room?: number;
}

/** Nodes with the given numbers of bytes, and a CPU each. Every node begins at a section of its own. */
export function nodesOf(sizes: readonly number[]): RamNode[] {
  let end = 0;
  return sizes.map((size, id) => {
    const start = end;
    end += alignUp(size, SECTION);
    return { memory: size > 0 ? [[start, start + size]] : [], cpus: [id] };
  });
}

/** Boots memory. The default distance is 10 within a node and 20 between nodes. */
export function bootRam(
  nodes: readonly RamNode[],
  { physicalBits, room = 0, ...options }: RamOptions,
): { readonly kernel: Kernel; readonly memory: Memory } {
  const kernel = createKernel();
  const ranges = nodes.flatMap(({ memory }) => memory);
  const sections = ranges.reduce((bytes, [start, end]) => bytes + alignUp(end - start, SECTION), 0);
  const memory = bootMemory(kernel, {
    nodes: nodes.map(({ memory: ram, cpus }, id) => ({
      id: nodeId(id),
      memory: ram.map(([start, end]) => ({ start: physAddr(start), end: physAddr(end) })),
      cpus,
    })),
    distances: nodes.map((_, from) => nodes.map((__, to) => (from === to ? 10 : 20))),
    physicalBits,
    maxPages: (sections + room) / 4096,
    reserved: [],
    ...options,
  });
  return { kernel, memory };
}

/** An iomem tree with the RAM of the nodes. */
export function ramIomem(nodes: readonly RamNode[], physicalBits: number): ResourceTree {
  const iomem = createIomem(physicalBits);
  const flags = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
  for (const [start, end] of nodes.flatMap(({ memory }) => memory))
    insertResource(iomem, new Resource({ name: "System RAM", start, end: end - 1, flags }));
  return iomem;
}

/** Hotplug with blocks of a section, in any order of zones, that leaves new blocks offline. */
export function sectionHotplug(
  options: Pick<MemoryHotplugOptions, "memory" | "iomem" | "addressableEnd"> & Partial<MemoryHotplugOptions>,
): MemoryHotplug {
  return new MemoryHotplug({
    placement: () => anyOrderPlacement,
    blockSize: SECTION,
    memmapOnMemory: false,
    autoOnline: "offline",
    ...options,
  });
}

/** Runs a task with device_hotplug_lock held. */
export function* underLock<T>(hotplug: MemoryHotplug, body: () => Sleeps<T>): Sleeps<T> {
  yield* hotplug.locks.lockDeviceHotplug();
  try {
    return yield* body();
  } finally {
    hotplug.locks.unlockDeviceHotplug();
  }
}

/** Free pages of all zones, including those on per-cpu lists. */
export function freePagesOf(memory: Memory): number {
  return [...allZones(memory)].reduce(
    (sum, zone) => sum + zone.freePages + zone.pcp.reduce((count, pcp) => count + pcp.count, 0),
    0,
  );
}
