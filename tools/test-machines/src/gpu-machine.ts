// A small machine with devices: a node of RAM, processes, and the number of gpus that a case asks for, each with a
// few pages. Its operations run a path to its end, so that a case is one line.
import { connectPagemaps, PagemapPages } from "@hetmem/hmm-migrate";
import {
  assertInvariants,
  type Kernel,
  MiB,
  type Page,
  physAddr,
  run,
  type Sleeps,
  type VirtAddr,
  virtAddr,
} from "@hetmem/kernel";
import { type PagemapPolicies, Pagemaps, quickPagemapInvariants } from "@hetmem/memremap";
import {
  MapFlag,
  mmap,
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
import { type ResourceTree } from "@hetmem/resource";
import { wholeVm } from "./whole-vm.ts";
import { type Memory } from "@hetmem/zone";
import { Gpu, type GpuContext, gpuInvariants, type GpuOptions } from "@hetmem/gpu";
import { outcome } from "./outcome.ts";
import { LATER } from "./pagemap-machine.ts";
import { bootRam, freePagesOf, nodesOf, ramIomem, SECTION, sectionHotplug } from "./ram.ts";
import { mmOf, PAGE, spawnOn } from "./vm-machine.ts";

/** Start address of the cases' mappings. */
export const BASE: VirtAddr = virtAddr(0x1000_0000);
const PHYSICAL_BITS = 36;

export interface GpuMachineOptions extends Partial<
  Pick<GpuOptions, "memoryType" | "policy" | "latency" | "rangeFault">
> {
  /** Number of devices; absent: one. */
  readonly gpus?: number;
  /** Pages of each device's memory; absent: 64. */
  readonly pages?: number;
  /**
   * Whether devices lie in the section of the RAM. A second section of struct pages would be most of a machine's
   * cost.
   */
  readonly small?: boolean;
  /** Absent: those of v6.1. */
  readonly policies?: PagemapPolicies;
  /** Bytes of RAM; absent: 16 MiB. */
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
  /** The invariants that hold at any step. */
  check(): void;
}

export function gpuMachine(options: GpuMachineOptions = {}): GpuMachine {
  const { gpus: count = 1, pages = 64, ram = 16 * MiB, memoryType = "private", small = false } = options;
  const nodes = nodesOf([ram]);
  const room = small ? 0 : count * SECTION;
  const { kernel, memory } = bootRam(nodes, { physicalBits: PHYSICAL_BITS, room });
  const iomem = ramIomem(nodes, PHYSICAL_BITS);
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd: 2 ** PHYSICAL_BITS });
  const pagemaps = new Pagemaps({
    hotplug,
    physicalBits: PHYSICAL_BITS,
    policies: options.policies ?? LATER,
  });
  const vm = wholeVm(memory, { devices: new PagemapPages(pagemaps) });
  connectPagemaps(vm, pagemaps);
  watchCoverage(vm);
  const { policy, latency, rangeFault } = options;
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
        ...(rangeFault && { rangeFault }),
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
    spawn: (comm) => spawnOn(vm, comm),
    open: (process, device = gpu) => run(device.open(mmOf(process))),
    freePages: () => freePagesOf(memory),
    check() {
      assertInvariants(vm, [...vmInvariants, ...coverageInvariants]);
      assertInvariants(pagemaps, quickPagemapInvariants);
      for (const each of gpus) assertInvariants(each, gpuInvariants);
    },
  };
}

/** The variants of the kernel's own tests. */
export const MEMORY_TYPES = ["private", "coherent"] as const;

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

/** Writes a byte with the CPU. @returns the signal's code, or "done" */
export function cpuWrite(process: Process, address: VirtAddr, ...bytes: number[]): string {
  return outcomeOf(run(writeUser(process, address, Uint8Array.from(bytes))));
}

/** Reads a byte with the CPU. @returns the byte, or the signal's code */
export function cpuRead(process: Process, address: VirtAddr): number | string {
  const into = new Uint8Array(1);
  const signal = run(readUser(process, address, into));
  return signal ? signal.code : (into[0] as number);
}

/** Reads a byte with the device. @returns the byte, or the errno */
export function gpuRead(context: GpuContext, address: VirtAddr): number | string {
  const into = new Uint8Array(1);
  const errno = outcome(() => run(context.read(address, into)));
  return errno === "done" ? (into[0] as number) : errno;
}

/** Writes bytes with the device. @returns the errno, or "done" */
export function gpuWrite(context: GpuContext, address: VirtAddr, ...bytes: number[]): string {
  return outcome(() => run(context.write(address, Uint8Array.from(bytes))));
}

/** The page table entry of an address: its page, and whether the page is in the memory of a device. */
export function pageAt(process: Process, address: VirtAddr): Page {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(address)) as Page;
}

function outcomeOf(signal: Signal | undefined): string {
  return signal ? signal.code : "done";
}
