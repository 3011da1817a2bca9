// A machine with memory cgroups and their limits, for tests: by default one node. Cases are written in its operations.
import { MiB, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  MapFlag,
  mmap,
  type Process,
  Prot,
  type Signal,
  touchUser,
  type Tunables,
  type Vm,
} from "@hetmem/mm";
import { createDiskFile, fileRead, fileVmOps, OpenFile } from "@hetmem/page-cache";
import { swapSpace } from "@hetmem/reclaim";
import { wholeVm } from "./whole-vm.ts";
import { type Memory } from "@hetmem/zone";
import { Limits, type LimitsOptions, type MemoryCgroup, MemoryCgroups } from "@hetmem/memcg";
import { bootRam, nodesOf } from "./ram.ts";
import { mmOf, PAGE, pageAt, spawnOn } from "./vm-machine.ts";

export interface LimitsMachineOptions extends LimitsOptions {
  /** Bytes of each node. */
  readonly nodes?: readonly number[];
  /** Bytes of swap; none when absent. */
  readonly swap?: number;
  readonly tunables?: Partial<Tunables>;
}

export interface LimitsMachine {
  readonly memory: Memory;
  readonly vm: Vm;
  readonly memcgs: MemoryCgroups;
  readonly limits: Limits;
  run<T>(task: Sleeps<T>): T;
  /** A process in a cgroup. */
  spawn(cgroup: MemoryCgroup, comm?: string): Process;
  /** Maps `pages` pages of anonymous memory. */
  map(process: Process, pages: number): VirtAddr;
  /** Writes to each page. @returns the signal that stopped the writes */
  touch(process: Process, start: VirtAddr, pages: number): Signal | undefined;
  /** Maps anonymous memory and writes to each page. */
  fill(process: Process, pages: number): Signal | undefined;
  /** A file of `pages` pages of zeros on a disk. */
  file(pages: number): OpenFile;
  /** Reads pages of a file. */
  read(process: Process, file: OpenFile, first: number, pages: number): void;
  log(): string;
}

export function limitsMachine({
  nodes = [64 * MiB],
  swap,
  tunables,
  ...options
}: LimitsMachineOptions = {}): LimitsMachine {
  const { kernel, memory } = bootRam(nodesOf(nodes), { physicalBits: 40 });
  const memcgs = new MemoryCgroups(memory);
  const vm = wholeVm(memory, { charging: memcgs.charging, tunables: { overcommitMemory: 1, ...tunables } });
  const limits = new Limits(memcgs, options);
  if (swap !== undefined) swapSpace(vm).swapon({ path: "/dev/sdb1", size: swap + PAGE });
  let inode = 100;
  const machine: LimitsMachine = {
    memory,
    vm,
    memcgs,
    limits,
    run,
    spawn(cgroup, comm) {
      const process = spawnOn(vm, comm);
      memcgs.attach(mmOf(process), cgroup);
      return process;
    },
    map: (process, pages) =>
      run(
        mmap(mmOf(process), {
          length: pages * PAGE,
          prot: Prot.READ | Prot.WRITE,
          flags: MapFlag.PRIVATE | MapFlag.ANONYMOUS,
        }),
      ),
    touch: (process, start, pages) => run(touchPages(process, start, pages)),
    fill: (process, pages) => machine.touch(process, machine.map(process, pages), pages),
    file(pages) {
      const node = createDiskFile(vm, inode++, new Uint8Array(0));
      node.size = pages * PAGE;
      return new OpenFile(node, { path: `/data/${node.number}`, writable: true, vmOps: fileVmOps });
    },
    read(process, file, first, pages) {
      for (let i = first; i < first + pages; i++) run(fileRead(file, i * PAGE, PAGE, process.mm));
    },
    log: () => kernel.log.records.map(({ text }) => text).join("\n"),
  };
  return machine;
}

/** Writes to each of `pages` pages. @returns the signal that stopped the writes */
export function* touchPages(process: Process, start: VirtAddr, pages: number): Sleeps<Signal | undefined> {
  for (let i = 0; i < pages; i++) {
    const signal = yield* touchUser(process, pageAt(start, i));
    if (signal) return signal;
  }
  return undefined;
}
