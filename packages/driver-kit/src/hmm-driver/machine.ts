// The machine of a trial: one node with 4 MiB of RAM, room for a device above it, and no process yet. Every schedule gets a
// machine of its own, so that a seed replays from nothing.
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import {
  createKernel,
  type Kernel,
  MiB,
  nodeId,
  PAGE_SIZE,
  physAddr,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { Pagemaps } from "@hetmem/memremap";
import { Vm } from "@hetmem/mm";
import { watchCoverage } from "@hetmem/mmu-notifier";
import { pageCacheParts } from "@hetmem/page-cache";
import { reclaimParts } from "@hetmem/reclaim";
import { createIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { allZones, anyOrderPlacement, bootMemory, type Memory, MemoryHotplug } from "@hetmem/zone";

const RAM = 4 * MiB;
const SECTION = 128 * MiB;
const PHYSICAL_BITS = 36;
/** One section for RAM, one for the device. */
const SECTIONS = 2;
/** The address of the first page of the process. */
const BASE = virtAddr(0x1000_0000);

export interface TrialMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly vm: Vm;
}

export function trialMachine(): TrialMachine {
  const kernel = createKernel();
  const memory = bootMemory(kernel, {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(RAM) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: PHYSICAL_BITS,
    maxPages: SECTIONS * (SECTION / PAGE_SIZE),
    reserved: [],
  });
  const ram = `00000000-${(RAM - 1).toString(16).padStart(8, "0")} : System RAM\n`;
  const iomem = parseIomem(ram, createIomem(PHYSICAL_BITS));
  const hotplug = new MemoryHotplug({
    memory,
    iomem,
    placement: () => anyOrderPlacement,
    blockSize: SECTION,
    addressableEnd: 2 ** PHYSICAL_BITS,
    memmapOnMemory: false,
    autoOnline: "offline",
  });
  const pagemaps = new Pagemaps({ hotplug, physicalBits: PHYSICAL_BITS });
  const vm = new Vm(memory, { ...pageCacheParts, ...reclaimParts, devices: new PagemapPages(pagemaps) });
  connectPagemaps(vm, pagemaps);
  watchCoverage(vm);
  return { kernel, memory, iomem, pagemaps, vm };
}

/** The address of a byte in a page of the process, counted from its first page. */
export function at(page: number, offset = 0): VirtAddr {
  return virtAddr(BASE + page * PAGE_SIZE + offset);
}

/** Free pages of RAM, those on per-cpu lists included. */
export function freePages({ memory }: TrialMachine): number {
  let free = 0;
  for (const zone of allZones(memory))
    free += zone.freePages + zone.pcp.reduce((sum, { count }) => sum + count, 0);
  return free;
}
