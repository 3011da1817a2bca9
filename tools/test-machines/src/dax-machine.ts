// A small machine with a dax bus: two nodes with a CPU, a possible third node, persistent memory at 4 GiB as on the
// captured host, and processes that can map it. Its /sys has the real tables of the packages.
import { GiB, type Kernel, MiB, physAddr, run, type Sleeps, type VirtAddr } from "@hetmem/kernel";
import {
  defaultPagemapPolicies,
  MemoryType,
  type PagemapPolicies,
  Pagemaps,
  subsectionCollision,
} from "@hetmem/memremap";
import { MapFlag, mmap, noDevicePages, type Process, Prot, type Vm } from "@hetmem/mm";
import { createIomem, formatIomem, parseIomem, type ResourceTree } from "@hetmem/resource";
import { wholeVm } from "./whole-vm.ts";
import { Vfs } from "@hetmem/vfs";
import { type Memory, MemoryHotplug } from "@hetmem/zone";
import {
  allocDaxRegion,
  type BindPolicy,
  createDevDax,
  DaxBus,
  daxBusTables,
  daxDeviceTables,
  type DaxDriver,
  type DaxPmem,
  daxPmemProbe,
  type DaxPmemRequest,
  type DaxRegion,
  type DevDax,
  DeviceDax,
} from "@hetmem/dax";
import { bootRam, type RamNode, SECTION, sectionHotplug } from "./ram.ts";
import { mmOf, spawnOn } from "./vm-machine.ts";

export const PMEM_START = 4 * GiB;
/** Path of the captured namespace in the device tree. */
export const NAMESPACE = "/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0/region0/dax0.0";
export const POLICIES: PagemapPolicies = { ...defaultPagemapPolicies, collision: subsectionCollision };

const IOMEM = `00000000-03ffffff : System RAM
08000000-0bffffff : System RAM
100000000-13fffffff : Persistent Memory
  100000000-1011fffff : namespace0.0
140000000-17fffffff : Soft Reserved
`;

const NODES: readonly RamNode[] = [
  { memory: [[0, 64 * MiB]], cpus: [0] },
  { memory: [[SECTION, SECTION + 64 * MiB]], cpus: [1] },
  { memory: [], cpus: [] },
];
/** Distances between the nodes of the captured host. */
export const DISTANCES: readonly (readonly number[])[] = [
  [10, 21, 40],
  [21, 10, 41],
  [40, 41, 10],
];

export interface DaxMachine {
  readonly kernel: Kernel;
  readonly memory: Memory;
  readonly iomem: ResourceTree;
  readonly hotplug: MemoryHotplug;
  readonly vm: Vm;
  readonly pagemaps: Pagemaps;
  readonly bus: DaxBus;
  readonly deviceDax: DeviceDax;
  readonly vfs: Vfs;
  read(path: string): string;
  write(path: string, text: string): void;
  /** The iomem tree as root reads it. */
  iomemText(): string;
  /** The log, without times. */
  dmesg(): string[];
  spawn(comm?: string): Process;
}

/** A driver that takes devices by name and does nothing with them. */
export const idleDriver: DaxDriver = { name: "kmem", *probe() {}, *remove() {} };

export interface DaxMachineOptions {
  /** Absent or "loaded": device_dax and idleDriver. */
  readonly drivers?: "none" | "loaded";
  /** A cheap machine, to be made often: one node less, little room for devices, and no files. */
  readonly small?: boolean;
  /** The answers of writes to `bind`. */
  readonly bindPolicy?: BindPolicy;
}

export function daxMachine({
  drivers = "loaded",
  small = false,
  bindPolicy,
}: DaxMachineOptions = {}): DaxMachine {
  const physicalBits = small ? 36 : 46;
  const { kernel, memory } = bootRam(small ? NODES.slice(0, 1) : NODES, {
    distances: DISTANCES,
    physicalBits,
    room: small ? 3 * SECTION : 3 * GiB - 2 * SECTION,
  });
  const iomem = parseIomem(IOMEM, createIomem(physicalBits));
  const hotplug = sectionHotplug({ memory, iomem, addressableEnd: 2 ** physicalBits });
  const pagemaps = new Pagemaps({ hotplug, physicalBits, policies: POLICIES });
  const vm = wholeVm(memory, {
    devices: {
      ...noDevicePages,
      tryGetPagemap: (page) => pagemaps.tryGetPagemap(page),
      putPagemap: (page) => pagemaps.putPagemap(page),
      isFsdax: (page) => pagemaps.pagemapOf(page)?.type === MemoryType.DeviceFsDax,
    },
  });
  const bus = new DaxBus({ kernel, iomem, ...(bindPolicy && { bindPolicy }) });
  const deviceDax = new DeviceDax({ vm, pagemaps });
  if (drivers === "loaded") {
    run(bus.registerDriver(deviceDax));
    run(bus.registerDriver(idleDriver));
  }
  const vfs = new Vfs();
  if (!small) for (const table of [...daxBusTables(bus), ...daxDeviceTables(bus)]) vfs.mount(table);
  return {
    kernel,
    memory,
    iomem,
    hotplug,
    vm,
    pagemaps,
    bus,
    deviceDax,
    vfs,
    read: (path) => run(vfs.read(path)),
    write: (path, text) => run(vfs.write(path, `${text}\n`)),
    iomemText: () => formatIomem(iomem, { privileged: true }),
    dmesg: () => kernel.log.records.map(({ text }) => text),
    spawn: (comm) => spawnOn(vm, comm),
  };
}

/** The captured namespace: 1 GiB, of which 18 MiB are metadata and struct pages. */
export function capturedNamespace(changes: Partial<DaxPmemRequest> = {}): DaxPmemRequest {
  return {
    parent: NAMESPACE,
    regionId: 0,
    id: 0,
    range: { start: 0x1_0120_0000, end: 0x1_4000_0000 },
    align: 2 * MiB,
    numaNode: 0,
    targetNode: 2,
    pagemap: {
      range: { start: PMEM_START, end: 0x1_4000_0000 },
      altmap: { reserve: 2, free: 0x1200 - 2 },
    },
    ...changes,
  };
}

/** A small namespace with its struct pages in RAM, so that a case is quick. */
export function smallNamespace(bytes: number, changes: Partial<DaxPmemRequest> = {}): DaxPmemRequest {
  const range = { start: 0x1_0120_0000, end: 0x1_0120_0000 + bytes };
  return capturedNamespace({ range, pagemap: { range, altmap: undefined }, ...changes });
}

export function addNamespace(
  { bus }: DaxMachine,
  request: DaxPmemRequest = smallNamespace(4 * MiB),
): DaxPmem {
  return run(daxPmemProbe(bus, request));
}

/** A dynamic region over soft-reserved memory, with its first device. */
export function addHmem(
  { bus }: DaxMachine,
  options: { size?: number; idle?: boolean; id?: number; targetNode?: number } = {},
): DaxRegion {
  const { size = 16 * MiB, idle = false, id = 1, targetNode = 2 } = options;
  const start = physAddr(0x1_4000_0000);
  const region = allocDaxRegion(
    bus,
    { devpath: `devices/platform/hmem.${id}`, numaNode: 0 },
    { id, start, size, targetNode, align: 2 * MiB, kind: "dynamic" },
  );
  run(createDevDax(region, { size: idle ? 0 : size }));
  return region;
}

/** Maps a device from a page offset on. */
export function mapDevice(
  { deviceDax }: DaxMachine,
  process: Process,
  device: DevDax,
  request: { length: number; offset?: number; flags?: number; prot?: number; address?: number },
): Sleeps<VirtAddr> {
  return mmap(mmOf(process), {
    prot: Prot.READ | Prot.WRITE,
    flags: MapFlag.SHARED,
    ...request,
    file: deviceDax.open(device, true),
  });
}
