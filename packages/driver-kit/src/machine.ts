// The machine of a trial: one node with 4 MiB of RAM, room for a device above it, and no process yet; a kit that needs more asks
// for it. Every trial gets a machine of its own, so that a seed replays from nothing.
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
import { Vm, type VmOptions } from "@hetmem/mm";
import { watchCoverage } from "@hetmem/mmu-notifier";
import { pageCacheParts } from "@hetmem/page-cache";
import { reclaimParts } from "@hetmem/reclaim";
import { createIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { allZones, anyOrderPlacement, bootMemory, type Memory, MemoryHotplug } from "@hetmem/zone";

/** Bytes of a section, and of a memory block. */
export const SECTION: number = 128 * MiB;
const PHYSICAL_BITS = 36;
/** The address of the first page of the process. */
const BASE = virtAddr(0x1000_0000);

export interface TrialMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly hotplug: MemoryHotplug;
  readonly pagemaps: Pagemaps;
  readonly vm: Vm;
}

export interface TrialMachineOptions {
  /** Bytes of RAM on node 0: 4 MiB when absent. */
  readonly ram?: number;
  /** Nodes without memory and cpus, for hotplug: none when absent. */
  readonly emptyNodes?: number;
  /** Sections that devices and hotplug may add: one when absent. */
  readonly room?: number;
  /** Parts of the Vm in place of the usual ones, such as a charging. */
  readonly parts?: (memory: Memory) => VmOptions;
}

export function trialMachine(options: TrialMachineOptions = {}): TrialMachine {
  const { ram = 4 * MiB, emptyNodes = 0, room = 1, parts = () => ({}) } = options;
  const kernel = createKernel();
  const ids = Array.from({ length: 1 + emptyNodes }, (_, id) => id);
  const memory = bootMemory(kernel, {
    nodes: ids.map((id) => ({
      id: nodeId(id),
      memory: id === 0 ? [{ start: physAddr(0), end: physAddr(ram) }] : [],
      cpus: id === 0 ? [0] : [],
    })),
    distances: ids.map((from) => ids.map((to) => (from === to ? 10 : 20))),
    physicalBits: PHYSICAL_BITS,
    maxPages: (1 + room) * (SECTION / PAGE_SIZE),
    reserved: [],
  });
  const listed = `00000000-${(ram - 1).toString(16).padStart(8, "0")} : System RAM\n`;
  const iomem = parseIomem(listed, createIomem(PHYSICAL_BITS));
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
  const devices = new PagemapPages(pagemaps);
  const vm = new Vm(memory, { ...pageCacheParts, ...reclaimParts, devices, ...parts(memory) });
  connectPagemaps(vm, pagemaps);
  watchCoverage(vm);
  return { kernel, memory, iomem, hotplug, pagemaps, vm };
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
