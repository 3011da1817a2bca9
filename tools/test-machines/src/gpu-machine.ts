// A small machine with devices: a node of RAM, processes, and as many gpus as a case wants, each with a handful of pages.
// Its verbs run a path to its end, so that a case is one line.
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

/** Where cases map. */
export const BASE: VirtAddr = virtAddr(0x1000_0000);
const PHYSICAL_BITS = 36;

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

/** Both variants that the kernel's own tests have. */
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
  const errno = outcome(() => run(context.read(address, into)));
  return errno === "done" ? (into[0] as number) : errno;
}

/** The device writes bytes. @returns the errno, or "done" */
export function gpuWrite(context: GpuContext, address: VirtAddr, ...bytes: number[]): string {
  return outcome(() => run(context.write(address, Uint8Array.from(bytes))));
}

/** The entry of the process's page table: its page, and whether that is in the memory of a device. */
export function pageAt(process: Process, address: VirtAddr): Page {
  const { pageTable } = mmOf(process);
  return pageTable.value(pageTable.find(address)) as Page;
}

function outcomeOf(signal: Signal | undefined): string {
  return signal ? signal.code : "done";
}
