// A machine with little memory, for tests of reclaim: by default 16 MiB on one node, without swap. Processes fill
// memory with pages that hold their own number.
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
  /** The swap device, if there is one. */
  readonly device: SwapDevice | undefined;
  /** Maps `pages` pages of anonymous memory, private by default. */
  map(process: Process, pages: number, type?: number): VirtAddr;
  /** Writes a pattern into each of `pages` pages. @returns the signal that stopped the writes */
  fill(process: Process, start: VirtAddr, pages: number, seed?: number): Signal | undefined;
  /** Numbers of the pages that don't hold the pattern of fill(). */
  damaged(process: Process, start: VirtAddr, pages: number, seed?: number): number[];
  event(name: VmEventName): number;
  /** A counter summed over all nodes. */
  stat(item: number): number;
  log(): string;
}

export interface ShortMachineOptions extends Omit<VmMachineOptions, "swap"> {
  /** Bytes of swap; absent: no swap. */
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
