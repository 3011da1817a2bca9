// A small machine for tests of processes: two nodes with a cpu each, 64 MiB of memory on each unless a case says
// otherwise, and the process side over it. Cases are written in its operations.
import { type Kernel, MiB, nodeId, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import { allocMm, Credentials, type MmStruct, type Process, Vm, type VmOptions } from "@hetmem/mm";
import { type Memory } from "@hetmem/zone";
import { bootRam, freePagesOf, nodesOf } from "./ram.ts";
import { wholeVm } from "./whole-vm.ts";

export const PAGE = 4096;
/** Credentials of an ordinary user, without capabilities. */
export const ORDINARY: Credentials = new Credentials(1000);

export interface VmMachineOptions extends VmOptions {
  /** Bytes of each node, multiples of 1 MiB. Absent: two nodes of 64 MiB. */
  readonly nodes?: readonly number[];
}

export interface VmMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly vm: Vm;
  /** Makes a process with an empty address space on a node. */
  spawn(comm?: string, node?: number): Process;
  /** Free pages of all zones, including those on per-cpu lists. */
  freePages(): number;
  run<T>(task: Sleeps<T>): T;
}

export function vmMachine({ nodes = [64 * MiB, 64 * MiB], ...options }: VmMachineOptions = {}): VmMachine {
  const { kernel, memory } = bootRam(nodesOf(nodes), { physicalBits: 40, room: 512 * MiB });
  const vm = wholeVm(memory, options);
  return {
    kernel,
    memory,
    vm,
    run,
    spawn: (comm, node) => spawnOn(vm, comm, node),
    freePages: () => freePagesOf(memory),
  };
}

/** Makes a process with an empty address space on a node. */
export function spawnOn(vm: Vm, comm = "test", node = 0): Process {
  const mm = allocMm(vm, nodeId(node));
  if (!mm) throw new Error("the test machine is full");
  return vm.processes.add(comm, mm, undefined);
}

/** The address space of a live process. */
export function mmOf({ mm, pid }: Process): MmStruct {
  if (!mm) throw new Error(`process ${pid} has exited`);
  return mm;
}

/** The address of a page of a range. */
export function pageAt(start: VirtAddr, page: number): VirtAddr {
  return (start + page * PAGE) as VirtAddr;
}

/** Runs a body with the mmap lock held for reading, as a driver does. */
export function* withMmapLock<T>(mm: MmStruct, body: Sleeps<T>): Sleeps<T> {
  yield* mm.mmapLock.downRead();
  try {
    return yield* body;
  } finally {
    mm.mmapLock.upRead();
  }
}
