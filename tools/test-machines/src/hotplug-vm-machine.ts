// A small machine with memory hotplug under running processes: nodes as a case needs them, blocks that can be added,
// page migration for offlining, and the handling of bad memory. Its operations take the hotplug locks.
import {
  alignUp,
  GiB,
  KernelError,
  MiB,
  nodeId,
  type Page,
  physAddr,
  run,
  type Sleeps,
} from "@hetmem/kernel";
import { ProcessPoisonedPages } from "@hetmem/memory-failure";
import { ProcessPageMigration } from "@hetmem/migrate";
import type { VmOptions } from "@hetmem/mm";
import { MemoryFailure, MemoryHotplug, offlineBlock, onlineBlock, type OnlineType } from "@hetmem/zone";
import { bootRam, freePagesOf, type RamNode, ramIomem, SECTION, sectionHotplug, underLock } from "./ram.ts";
import { spawnOn, type VmMachine } from "./vm-machine.ts";
import { wholeVm } from "./whole-vm.ts";

const PHYSICAL_BITS = 36;
/** Number of the first block that can be added. */
export const FIRST_BLOCK: number = (4 * GiB) / SECTION;
/** Bytes of the largest block of the buddy allocator. No block spans two nodes. */
const LARGEST_BLOCK: number = 4 * MiB;

export interface HotplugVmMachineOptions extends VmOptions {
  /** Bytes and CPUs of each node. Absent: a node with 64 MiB and a CPU, and a node without memory or CPUs. */
  readonly nodes?: readonly { readonly size: number; readonly cpus: readonly number[] }[];
  /** Blocks that can be present besides boot memory; absent: two. */
  readonly room?: number;
}

export interface HotplugVmMachine extends VmMachine {
  readonly hotplug: MemoryHotplug;
  readonly failure: MemoryFailure;
  readonly poisoned: ProcessPoisonedPages;
  /** Adds the n-th block to a node and onlines it, as ZONE_MOVABLE by default. @returns the block's number */
  plug(n: number, node?: number, as?: OnlineType): number;
  offline(id: number): boolean;
  /** offline() as a task. */
  offlineTask(id: number): Sleeps<boolean>;
  onlineTask(id: number): Sleeps<boolean>;
  inBlock(id: number, page: Page): boolean;
}

export function hotplugVmMachine(options: HotplugVmMachineOptions = {}): HotplugVmMachine {
  const {
    nodes = [
      { size: 64 * MiB, cpus: [0] },
      { size: 0, cpus: [] },
    ],
    room = 2,
    ...vmOptions
  } = options;
  const ram = packedNodes(nodes);
  // A node without memory has a section of room, too.
  const empty = nodes.filter(({ size }) => size === 0).length;
  const { kernel, memory } = bootRam(ram, {
    physicalBits: PHYSICAL_BITS,
    room: (room + empty) * SECTION,
  });
  const iomem = ramIomem(ram, PHYSICAL_BITS);
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd: 2 ** PHYSICAL_BITS });
  const vm = wholeVm(memory, vmOptions);
  hotplug.migration = new ProcessPageMigration(vm);
  const failure = new MemoryFailure(memory, hotplug.locks);
  const poisoned = new ProcessPoisonedPages(vm);
  failure.owner = poisoned;
  const offlineTask = (id: number): Sleeps<boolean> =>
    underLock(hotplug, () => offlineBlock(hotplug, hotplug.block(id)));
  const onlineTask = (id: number, as: OnlineType = "online_movable"): Sleeps<boolean> =>
    underLock(hotplug, () => onlineBlock(hotplug, hotplug.block(id), as));
  return {
    kernel,
    memory,
    vm,
    hotplug,
    failure,
    poisoned,
    run,
    plug(n, node = 0, as = "online_movable") {
      const id = FIRST_BLOCK + n;
      run(underLock(hotplug, () => hotplug.addMemory(nodeId(node), physAddr(id * SECTION), SECTION)));
      run(onlineTask(id, as));
      return id;
    },
    offline: (id) => run(offlineTask(id)),
    offlineTask,
    onlineTask,
    inBlock(id, page) {
      return Math.floor((memory.memmap.pageToPfn(page) * 4096) / SECTION) === id;
    },
    spawn: (comm, node) => spawnOn(vm, comm, node),
    freePages: () => freePagesOf(memory),
  };
}

/** Nodes one behind the other: those that fit share a section, and so its slot of the memmap. */
function packedNodes(nodes: HotplugVmMachineOptions["nodes"] = []): RamNode[] {
  let end = 0;
  return nodes.map(({ size, cpus }) => {
    const start = end;
    end += alignUp(size, LARGEST_BLOCK);
    return { memory: size > 0 ? [[start, start + size]] : [], cpus };
  });
}

/** The message of a failed offlining. @throws when the block goes offline */
export function refusal(machine: HotplugVmMachine, id: number): string {
  try {
    machine.offline(id);
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
  throw new Error(`memory${id} went offline`);
}
