// A machine with little memory, for tests of reclaim: 16 MiB on one node unless a case says otherwise, and swap if it
// says so. Processes fill memory with pages that know which they are.
import { MiB, type VirtAddr } from "@hetmem/kernel";
import {
  MapFlag,
  mmap,
  type MmapRequest,
  type Process,
  Prot,
  readUser,
  type Signal,
  writeUser,
} from "@hetmem/mm";
import { type SwapDevice, swapSpace } from "@hetmem/reclaim";
import { VmEvent, type VmEventName } from "@hetmem/zone";
import { mmOf, PAGE, pageAt, type VmMachine, vmMachine, type VmMachineOptions } from "./vm-machine.ts";

export interface ShortMachine extends VmMachine {
  /** The device, where one was asked for. */
  readonly device: SwapDevice | undefined;
  /** Maps anonymous memory of so many pages, private unless the case says otherwise. */
  map(process: Process, pages: number, type?: number): VirtAddr;
  /** Writes a pattern of its own into each of some pages. @returns the signal that stopped it */
  fill(process: Process, start: VirtAddr, pages: number, seed?: number): Signal | undefined;
  /** Numbers of the pages that don't hold what fill() wrote. */
  damaged(process: Process, start: VirtAddr, pages: number, seed?: number): number[];
  event(name: VmEventName): number;
  /** A counter of all nodes. */
  stat(item: number): number;
  log(): string;
}

export interface ShortMachineOptions extends Omit<VmMachineOptions, "swap"> {
  /** Bytes of swap; none when absent. */
  readonly swap?: number;
}

export function shortMachine({
  swap,
  nodes = [16 * MiB],
  ...options
}: ShortMachineOptions = {}): ShortMachine {
  const machine = vmMachine({ nodes, tunables: { overcommitMemory: 1 }, ...options });
  const { vm, memory, run, kernel } = machine;
  const device =
    swap === undefined ? undefined : swapSpace(vm).swapon({ path: "/dev/sdb1", size: swap + PAGE });
  return {
    ...machine,
    device,
    map: (process, pages, type = MapFlag.PRIVATE) => run(mmap(mmOf(process), anonymous(pages, type))),
    fill(process, start, pages, seed = 0) {
      for (let i = 0; i < pages; i++) {
        const signal = run(writeUser(process, pageAt(start, i), pattern(seed, i)));
        if (signal) return signal;
      }
      return undefined;
    },
    damaged(process, start, pages, seed = 0) {
      const found = new Uint8Array(8);
      return Array.from({ length: pages }, (_, i) => i).filter((i) => {
        const signal = run(readUser(process, pageAt(start, i), found));
        return signal !== undefined || !pattern(seed, i).every((byte, at) => byte === found[at]);
      });
    },
    event: (name) => memory.allocator.events[VmEvent[name]] ?? 0,
    stat: (item) => memory.nodes.reduce((sum, node) => sum + (node?.stat[item] ?? 0), 0),
    log: () => kernel.log.records.map(({ text }) => text).join("\n"),
  };
}

function anonymous(pages: number, type: number): MmapRequest {
  return { length: pages * PAGE, prot: Prot.READ | Prot.WRITE, flags: type | MapFlag.ANONYMOUS };
}

function pattern(seed: number, page: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, page + 1);
  new DataView(bytes.buffer).setUint32(4, seed + 1);
  return bytes;
}
