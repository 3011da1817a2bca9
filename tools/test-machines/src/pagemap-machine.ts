// A small machine for tests of device memory: a node with a cpu and a little RAM, a node without either, and room for
// devices. Its operations run a path to its end, so that a case is one line.
import {
  assertInvariants,
  GiB,
  type Kernel,
  MiB,
  type NodeId,
  nodeId,
  type Page,
  type Pfn,
  run,
} from "@hetmem/kernel";
import type { MemMap } from "@hetmem/page";
import { type ResourceTree } from "@hetmem/resource";
import { allZones, type Memory, memoryInvariants, MemoryHotplug } from "@hetmem/zone";
import {
  coherentDeviceMemory,
  defaultPagemapPolicies,
  DevPagemap,
  type DevPagemapInit,
  idleAtZero,
  MemoryType,
  pagemapInvariants,
  type PagemapPolicies,
  Pagemaps,
  subsectionCollision,
  sharedTailStructPages,
} from "@hetmem/memremap";
import { bootRam, ramIomem, SECTION, sectionHotplug } from "./ram.ts";

export const NODE_0 = nodeId(0);
export const NODE_1 = nodeId(1);
/** Default physical address of the first device, in bytes. */
export const START = 4 * GiB;
/** The rules of v6.1. */
export const LATER: PagemapPolicies = {
  memoryTypes: coherentDeviceMemory,
  collision: subsectionCollision,
  idle: idleAtZero,
  structPages: sharedTailStructPages,
};

export interface PagemapMachineOptions {
  /** Ranges of node 0's memory in bytes: the first 64 MiB when absent. */
  readonly ram?: readonly (readonly [start: number, end: number])[];
  /** Bytes that devices may have: 1 GiB when absent. */
  readonly room?: number;
  readonly addressableEnd?: number;
  readonly policies?: PagemapPolicies;
}

export interface PagemapMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly memmap: MemMap;
  readonly iomem: ResourceTree;
  readonly hotplug: MemoryHotplug;
  readonly pagemaps: Pagemaps;
  map(pagemap: DevPagemap, node?: NodeId): void;
  unmap(pagemap: DevPagemap): void;
  /** The n-th page of a pagemap's first range. */
  page(pagemap: DevPagemap, n: number): Page;
  /** The state that a failed operation must leave unchanged. ZONE_DEVICE never shrinks, so its span is left out. */
  fingerprint(): unknown;
  check(): void;
}

const PHYSICAL_BITS = 38;

export function pagemapMachine(options: PagemapMachineOptions = {}): PagemapMachine {
  const { ram = [[0, 64 * MiB]], room = GiB, addressableEnd = 2 ** PHYSICAL_BITS } = options;
  const nodes = [
    { memory: ram, cpus: [0] },
    { memory: [], cpus: [] },
  ];
  const { kernel, memory } = bootRam(nodes, { physicalBits: PHYSICAL_BITS, room });
  const iomem = ramIomem(nodes, PHYSICAL_BITS);
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd });
  const policies = options.policies ?? defaultPagemapPolicies;
  const pagemaps = new Pagemaps({ hotplug, physicalBits: PHYSICAL_BITS, policies });
  const { memmap } = memory;
  return {
    kernel,
    memory,
    memmap,
    iomem,
    hotplug,
    pagemaps,
    map: (pagemap, node = NODE_0) => run(pagemaps.memremapPages(pagemap, node)),
    unmap: (pagemap) => run(pagemaps.memunmapPages(pagemap)),
    page: (pagemap, n) => memmap.pfnToPage((pagemap.firstPfn(0) + n) as Pfn),
    fingerprint: () => fingerprint(memory, pagemaps),
    check() {
      assertInvariants(memory, memoryInvariants);
      assertInvariants(pagemaps, pagemapInvariants);
    },
  };
}

/** A pagemap, by default of device-dax memory. */
export function devicePagemap(init: Partial<DevPagemapInit> = {}): DevPagemap {
  return new DevPagemap({
    type: MemoryType.DeviceGeneric,
    name: "dax0.0",
    ranges: [{ start: START, size: SECTION }],
    ...init,
  });
}

/** A pagemap whose driver records the pages that became idle. */
export function drivenPagemap(
  type: MemoryType,
  init: Partial<DevPagemapInit> = {},
): { readonly pagemap: DevPagemap; readonly freed: Page[] } {
  const freed: Page[] = [];
  const ops = {
    pageFree: (page: Page) => void freed.push(page),
    *migrateToRam() {
      return 0;
    },
  };
  return { pagemap: devicePagemap({ type, name: "gpu0", owner: freed, ops, ...init }), freed };
}

function fingerprint(memory: Memory, pagemaps: Pagemaps): unknown {
  const zones = [...allZones(memory)].map((zone) => [
    zone.node,
    zone.name,
    zone.presentPages,
    zone.managedPages,
    zone.freePages + zone.pcp.reduce((count, pcp) => count + pcp.count, 0),
  ]);
  return {
    zones,
    sections: memory.memmap.sections.present(),
    contents: memory.memmap.contents.hostBytes,
    vmemmap: pagemaps.hotplug.vmemmap.framesInUse,
    memtypes: pagemaps.memtypes.count,
    pagemaps: pagemaps.mapped().map(String),
    empty: pagemaps.tree.empty,
    locks: pagemaps.memory.kernel.lockdep.current.held,
  };
}
