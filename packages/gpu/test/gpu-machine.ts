// A small machine with devices: a node of RAM, processes, and as many gpus as a case wants, each with a handful of pages.
// Its verbs run a path to its end, so that a case is one line.
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import {
  assertInvariants,
  createKernel,
  type Kernel,
  type KernelError,
  MiB,
  nodeId,
  type Page,
  physAddr,
  run,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import {
  coherentDeviceMemory,
  idleAtZero,
  type PagemapPolicies,
  Pagemaps,
  quickPagemapInvariants,
  sharedTailStructPages,
  subsectionCollision,
} from "@hetmem/memremap";
import {
  allocMm,
  MapFlag,
  mmap,
  type MmStruct,
  type Process,
  Prot,
  readUser,
  type Signal,
  type Vm,
  vmInvariants,
  writeUser,
} from "@hetmem/mm";
import { coverageInvariants, watchCoverage } from "@hetmem/mmu-notifier";
import { memfdCreate, truncate } from "@hetmem/page-cache";
import { createIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { wholeVm } from "@hetmem/test-machines/whole-vm";
import { allZones, anyOrderPlacement, bootMemory, type Memory, MemoryHotplug } from "@hetmem/zone";
import { Gpu, type GpuContext, gpuInvariants, type GpuOptions } from "../src/index.ts";

export const PAGE = 4096;
/** Where cases map. */
export const BASE: VirtAddr = virtAddr(0x1000_0000);
const SECTION = 128 * MiB;
const PHYSICAL_BITS = 36;
/** v6.1's. */
const POLICIES: PagemapPolicies = {
  memoryTypes: coherentDeviceMemory,
  collision: subsectionCollision,
  idle: idleAtZero,
  structPages: sharedTailStructPages,
};

export interface GpuMachineOptions extends Partial<Pick<GpuOptions, "memoryType" | "policy" | "latency">> {
  /** Devices: one when absent. */
  readonly gpus?: number;
  /** Pages of each device's memory: 64 when absent. */
  readonly pages?: number;
  /** Devices lie in the section of the RAM, so that many machines can be made in a row: their struct pages are most of the cost. */
  readonly small?: boolean;
  /** v6.1's when absent. */
  readonly policies?: PagemapPolicies;
  /** Bytes of RAM: 16 MiB when absent. */
  readonly ram?: number;
}

export interface GpuMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly pagemaps: Pagemaps;
  readonly vm: Vm;
  readonly gpus: readonly Gpu[];
  /** The first device. */
  readonly gpu: Gpu;
  spawn(comm?: string): Process;
  /** The memory of a process as a device sees it. */
  open(process: Process, gpu?: Gpu): GpuContext;
  /** Free pages of RAM. */
  freePages(): number;
  /** Everything that must hold at any step. */
  check(): void;
}

export function gpuMachine(options: GpuMachineOptions = {}): GpuMachine {
  const { gpus: count = 1, pages = 64, ram = 16 * MiB, memoryType = "private", small = false } = options;
  const kernel = createKernel();
  const memory = bootMemory(kernel, {
    nodes: [{ id: nodeId(0), memory: [{ start: physAddr(0), end: physAddr(ram) }], cpus: [0] }],
    distances: [[10]],
    physicalBits: PHYSICAL_BITS,
    maxPages: (Math.ceil(ram / SECTION) + (small ? 0 : count)) * (SECTION / PAGE),
    reserved: [],
  });
  const iomem = parseIomem(
    `00000000-${(ram - 1).toString(16).padStart(8, "0")} : System RAM\n`,
    createIomem(PHYSICAL_BITS),
  );
  const hotplug = new MemoryHotplug({
    memory,
    iomem,
    placement: () => anyOrderPlacement,
    blockSize: SECTION,
    addressableEnd: 2 ** PHYSICAL_BITS,
    memmapOnMemory: false,
    autoOnline: "offline",
  });
  const pagemaps = new Pagemaps({
    hotplug,
    physicalBits: PHYSICAL_BITS,
    policies: options.policies ?? POLICIES,
  });
  const vm = wholeVm(memory, { devices: new PagemapPages(pagemaps) });
  connectPagemaps(vm, pagemaps);
  watchCoverage(vm);
  const { policy, latency } = options;
  const gpus = Array.from(
    { length: count },
    (_, i) =>
      new Gpu({
        vm,
        pagemaps,
        name: `gpu${i}`,
        memoryType,
        memoryBytes: pages * PAGE,
        ...(small && { memoryStart: physAddr(SECTION / 2 + i * 4 * MiB) }),
        ...(policy && { policy }),
        ...(latency && { latency }),
      }),
  );
  for (const gpu of gpus) run(gpu.memory.plug());
  const gpu = gpus[0] as Gpu;
  return {
    kernel,
    memory,
    iomem,
    pagemaps,
    vm,
    gpus,
    gpu,
    spawn(comm = "test") {
      const mm = allocMm(vm, nodeId(0));
      if (!mm) throw new Error("the test machine is full");
      return vm.processes.add(comm, mm, undefined);
    },
    open: (process, device = gpu) => run(device.open(mmOf(process))),
    freePages: () => freePagesOf(memory),
    check() {
      assertInvariants(vm, [...vmInvariants, ...coverageInvariants]);
      assertInvariants(pagemaps, quickPagemapInvariants);
      for (const each of gpus) assertInvariants(each, gpuInvariants);
    },
  };
}

/** Both variants that the kernel's own tests have. */
export const MEMORY_TYPES = ["private", "coherent"] as const;

/** The address space of a process that is alive. */
export function mmOf({ mm, pid }: Process): MmStruct {
  if (!mm) throw new Error(`process ${pid} has exited`);
  return mm;
}

export function at(page: number, offset = 0): VirtAddr {
  return virtAddr(BASE + page * PAGE + offset);
}

/** Maps private anonymous memory at BASE. */
export function mapAnon(process: Process, pages: number, prot: number = Prot.READ | Prot.WRITE): VirtAddr {
  return run(mapAnonTask(process, pages, prot));
}

export function mapAnonTask(process: Process, pages: number, prot: number): Sleeps<VirtAddr> {
  const flags = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  return mmap(mmOf(process), { address: BASE, length: pages * PAGE, prot, flags });
}

/** Maps a page of a memfd at page 8. */
export function mapShared(process: Process): void {
  const mm = mmOf(process);
  const file = memfdCreate(mm.vm, "shared", 0);
  run(truncate(file.host, PAGE));
  const flags = MapFlag.SHARED | MapFlag.FIXED;
  run(mmap(mm, { address: at(8), length: PAGE, prot: Prot.READ | Prot.WRITE, flags, file }));
}

/** The cpu writes a byte. @returns the signal's code, or "done" */
export function cpuWrite(process: Process, address: VirtAddr, ...bytes: number[]): string {
  return outcomeOf(run(writeUser(process, address, Uint8Array.from(bytes))));
}

/** The cpu reads a byte. @returns it, or the signal's code */
export function cpuRead(process: Process, address: VirtAddr): number | string {
  const into = new Uint8Array(1);
  const signal = run(readUser(process, address, into));
  return signal ? signal.code : (into[0] as number);
}

/** The device reads a byte. @returns it, or the errno */
export function gpuRead(context: GpuContext, address: VirtAddr): number | string {
  const into = new Uint8Array(1);
  const errno = errnoOf(() => run(context.read(address, into)));
  return errno === "done" ? (into[0] as number) : errno;
}

/** The device writes bytes. @returns the errno, or "done" */
export function gpuWrite(context: GpuContext, address: VirtAddr, ...bytes: number[]): string {
  return errnoOf(() => run(context.write(address, Uint8Array.from(bytes))));
}

/** "done", or the errno of what failed as the kernel lets it. */
export function errnoOf(body: () => unknown): string {
  try {
    body();
    return "done";
  } catch (error) {
    if (error instanceof Error && error.name === "KernelError") return (error as KernelError).errno;
    throw error;
  }
}

/** The entry of the process's page table: its page, and whether that is in the memory of a device. */
export function pageAt(process: Process, address: VirtAddr): Page {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(address)) as Page;
}

function outcomeOf(signal: Signal | undefined): string {
  return signal ? signal.code : "done";
}

function freePagesOf(memory: Memory): number {
  let free = 0;
  for (const zone of allZones(memory))
    free += zone.freePages + zone.pcp.reduce((sum, { count }) => sum + count, 0);
  return free;
}
